// Drives Keyward with @alicloud/pop-core: signature V1, every parameter (Action and Signature too) in a form body.

import PopCore from '@alicloud/pop-core';
import { API, REGION, Refused, VERSION, asText, run } from './common.mjs';

function connect(accessKeyId, accessKeySecret) {
  const client = new PopCore.RPCClient({ accessKeyId, accessKeySecret, endpoint: `http://${API}`, apiVersion: VERSION });
  return async (action, params) => {
    try {
      return await client.request(action, { RegionId: REGION, ...asText(params) }, { method: 'POST' });
    } catch (error) {
      if (error.name === `${error.code}Error` && error.data) throw new Refused(error.code, error.entry.response.statusCode);
      throw error;
    }
  };
}

await run('pop-core', connect);
