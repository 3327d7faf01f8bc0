// Drives Keyward with @alicloud/openapi-client: signature V3, parameters in a chunked form body.

import OpenApi from '@alicloud/openapi-client';
import Util from '@alicloud/tea-util';
import { API, REGION, Refused, TLS, drive, versionOf } from './driver.mjs';

const paramsOf = (action) => new OpenApi.Params({
  action, version: versionOf(action), protocol: 'HTTP', pathname: '/', method: 'POST', authType: 'AK', style: 'RPC',
  reqBodyType: 'formData', bodyType: 'json',
});

await drive(async ({ id, secret, token, tls }, action, parameters) => {
  const where = tls ? { endpoint: TLS, protocol: 'https' } : { endpoint: API, protocol: 'http' };
  const client = new OpenApi.default(
    new OpenApi.Config({ accessKeyId: id, accessKeySecret: secret, securityToken: token, regionId: REGION, ...where }));
  try {
    const request = new OpenApi.OpenApiRequest({ body: parameters });
    return (await client.callApi(paramsOf(action), request, new Util.RuntimeOptions({}))).body;
  } catch (error) {
    if (error.data?.Code) throw new Refused(error.code, error.statusCode);
    throw error;
  }
});
