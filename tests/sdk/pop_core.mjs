// Drives Keyward with @alicloud/pop-core: signature V1, every parameter (Action and Signature too) in a form body.

import PopCore from '@alicloud/pop-core';
import { API, REGION, Refused, TLS, asText, run, versionOf } from './common.mjs';

function connect(accessKeyId, accessKeySecret, { token, tls } = {}) {
  const endpoint = tls ? `https://${TLS}` : `http://${API}`;
  return async (action, params) => {
    const apiVersion = versionOf(action);
    const client = new PopCore.RPCClient({ accessKeyId, accessKeySecret, securityToken: token, endpoint, apiVersion });
    try {
      return await client.request(action, { RegionId: REGION, ...asText(params) }, { method: 'POST' });
    } catch (error) {
      if (error.name === `${error.code}Error` && error.data) throw new Refused(error.code, error.entry.response.statusCode);
      throw error;
    }
  };
}

await run('pop-core', connect);
