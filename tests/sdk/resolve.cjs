// Has Node find every name at this machine, as a line in /etc/hosts would: for clients that know no proxy.

const dns = require('node:dns');

dns.lookup = (_name, options, done) => {
  const [wanted, tell] = typeof options === 'function' ? [{}, options] : [options, done];
  if (wanted.all) process.nextTick(tell, null, [{ address: '127.0.0.1', family: 4 }]);
  else process.nextTick(tell, null, '127.0.0.1', 4);
};
