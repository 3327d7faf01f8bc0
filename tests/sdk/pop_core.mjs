// Drives Keyward with @alicloud/pop-core: signature V1, every parameter (Action and Signature too) in a form body.

import PopCore from '@alicloud/pop-core';
import { API, REGION, Refused, TLS, drive, versionOf } from './driver.mjs';

await drive(async ({ id, secret, token, tls }, action, parameters) => {
  const client = new PopCore.RPCClient({
    accessKeyId: id, accessKeySecret: secret, securityToken: token, apiVersion: versionOf(action),
    endpoint: tls ? `https://${TLS}` : `http://${API}`,
  });
  try {
    return await client.request(action, { RegionId: REGION, ...parameters }, { method: 'POST' });
  } catch (error) {
    if (error.name === `${error.code}Error` && error.data) throw new Refused(error.code, error.entry.response.statusCode);
    throw error;
  }
});
