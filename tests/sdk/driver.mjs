// What both Node drivers share: they read calls from the standard input and write what came of them (see foreign.py).

import { createInterface } from 'node:readline';

export const API = process.env.KEYWARD_API; // host:port
export const TLS = process.env.KEYWARD_TLS; // host:port; Node trusts its certificate because of NODE_EXTRA_CA_CERTS
export const REGION = 'cn-hangzhou';

const STS_ACTIONS = ['AssumeRole', 'GetCallerIdentity'];
export const versionOf = (action) => (STS_ACTIONS.includes(action) ? '2015-04-01' : '2016-01-20');

// The service said no, and the client understood.
export class Refused extends Error {
  constructor(code, status) {
    super(`${status} ${code}`);
    Object.assign(this, { code, status });
  }
}

// Objects become JSON text, as the API wants them; lists stay lists, and become one parameter for each element.
const asText = (value) => (typeof value === 'object' && !Array.isArray(value) ? JSON.stringify(value) : value);

async function outcome(call, { id, secret, token, tls, action, parameters }) {
  const given = Object.entries(parameters).map(([name, value]) => [name, asText(value)]);
  try {
    return { answer: await call({ id, secret, token: token || undefined, tls }, action, Object.fromEntries(given)) };
  } catch (error) {
    if (error instanceof Refused) return { refused: [error.status, error.code] };
    return { failed: `${error.name}: ${error.message}` };
  }
}

// call(caller, action, parameters) -> answer (a promise). It throws Refused for an error answer.
export async function drive(call) {
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await outcome(call, JSON.parse(line))));
  }
}
