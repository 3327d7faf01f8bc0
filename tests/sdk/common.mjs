// What every Node client must be able to do with Keyward: the checks and their report; nothing of any one client.
//
// A driver gives `run` its name and a function connect(id, secret, { token, tls }) -> call(action, parameters) -> answer (a
// promise). `token` is the security token of temporary credentials. call throws Refused when, and only when, the client
// threw its own error for an error answer.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

export const API = process.env.KEYWARD_API; // host:port
export const TLS = process.env.KEYWARD_TLS; // host:port; Node trusts its certificate because of NODE_EXTRA_CA_CERTS
export const REGION = 'cn-hangzhou';

const STS_ACTIONS = ['AssumeRole', 'GetCallerIdentity'];
export const versionOf = (action) => (STS_ACTIONS.includes(action) ? '2015-04-01' : '2016-01-20');

const ACCOUNT = 'acs:ram::1234567890123456';
const ROLE = `${ACCOUNT}:role/payroll-service`; // trusts kim; may use alias/payroll and read payroll/db-password

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
const TEXTS = JSON.parse(read('scenario.json'));
const POLICY = read('policy.json').trimEnd(); // lets alice encrypt, and no more
const POLICY_LIMIT = 32_768;
const ENCRYPT_ONLY = { Version: '1', Statement: [{ Effect: 'Allow', Action: 'kms:Encrypt', Resource: '*' }] };

const DENIED = [403, 'Forbidden.NoPermission'];

// The service said no, and the client understood.
export class Refused extends Error {
  constructor(code, status) {
    super(`${status} ${code}`);
    Object.assign(this, { name: 'Refused', code, status });
  }
}

// Objects become JSON text, as the API wants them.
export const asText = (params) =>
  Object.fromEntries(Object.entries(params).map(([name, value]) => [name, typeof value === 'object' ? JSON.stringify(value) : value]));

// Prints one line for each check and remembers, as the exit code, whether one failed.
class Report {
  constructor(client) {
    this.client = client;
  }

  async check(what, body) {
    try {
      await body();
      console.log(`ok   ${this.client}  ${what}`);
    } catch (problem) { // whatever it is: this check failed, and the others still have their turn
      process.exitCode = 1;
      console.log(`FAIL ${this.client}  ${what}: ${problem.name}: ${problem.message}`);
    }
  }

  refused(what, status, code, body) {
    return this.check(what, async () => {
      const outcome = await body().then(() => 'allowed', (problem) => problem);
      if (outcome instanceof Error && !(outcome instanceof Refused)) throw outcome;
      equal(outcome.message ?? outcome, `${status} ${code}`);
    });
  }
}

function equal(got, expected) {
  const short = (value) => JSON.stringify(value)?.slice(0, 200);
  if (!isDeepStrictEqual(got, expected)) throw new Error(`got ${short(got)} instead of ${short(expected)}`);
}

// POLICY, made as long as a policy may be: the same action many times, then spaces.
function largestPolicy() {
  const again = ', "kms:Encrypt"';
  const missing = POLICY_LIMIT - POLICY.length;
  const padding = again.repeat(missing / again.length) + ' '.repeat(missing % again.length);
  return POLICY.replace('"kms:Encrypt"', `"kms:Encrypt"${padding}`);
}

export async function run(client, connect) {
  const report = new Report(client);
  const key = (name) => [process.env[`KEYWARD_${name}_ID`], process.env[`KEYWARD_${name}_SECRET`]];
  const [kim, alice, bob] = ['KIM', 'ALICE', 'BOB'].map((name) => connect(...key(name)));
  const ours = `${client}-${randomBytes(4).toString('hex')}`;

  const keyId = await administrateKey(report, kim, `alias/sdk-${ours}`);
  await useKey(report, kim, keyId);
  await keepSecret(report, kim, `sdk/${ours}`);
  await setPolicies(report, kim, keyId);
  await obeyPolicies(report, alice, bob, keyId);
  await disableKey(report, kim, keyId);
  await rejectStrangers(report, connect, key('KIM'));
  await beginSessions(report, connect, kim, alice);
  await comeOverTls(report, connect(...key('KIM'), { tls: true }));
}

async function administrateKey(report, kim, alias) {
  let keyId;
  await report.check('create a key in an instance', async () => {
    const { KeyMetadata: key } = await kim('CreateKey', { DKMSInstanceId: TEXTS.instance, Description: TEXTS.description });
    keyId = key.KeyId;
    equal(key.Description, TEXTS.description);
  });
  await report.check('describe the key by its id', async () => {
    const { KeyMetadata: key } = await kim('DescribeKey', { KeyId: keyId });
    equal([key.KeyId, key.Description, key.KeyState], [keyId, TEXTS.description, 'Enabled']);
  });
  await report.check('create an alias', () => kim('CreateAlias', { KeyId: keyId, AliasName: alias }));
  await report.check('describe the key by its alias', async () => {
    equal((await kim('DescribeKey', { KeyId: alias })).KeyMetadata.KeyId, keyId);
  });
  await report.check('list keys', async () => {
    const { Keys } = await kim('ListKeys', { PageNumber: 1, PageSize: 100 });
    equal(Keys.Key.some((key) => key.KeyId === keyId), true);
  });
  return keyId;
}

async function useKey(report, kim, keyId) {
  const plaintext = Buffer.from(TEXTS.plaintext).toString('base64');
  let blob;
  await report.check('encrypt/decrypt round trip with a context', async () => {
    blob = (await kim('Encrypt', { KeyId: keyId, Plaintext: plaintext, EncryptionContext: TEXTS.context })).CiphertextBlob;
    const opened = await kim('Decrypt', { CiphertextBlob: blob, EncryptionContext: TEXTS.context });
    equal([opened.Plaintext, opened.KeyId], [plaintext, keyId]);
  });
  await report.refused('decrypt with a wrong context is refused', 400, 'InvalidParameter',
    () => kim('Decrypt', { CiphertextBlob: blob, EncryptionContext: TEXTS.wrong_context }));
  await report.check('generate a data key and decrypt it', async () => {
    const dataKey = await kim('GenerateDataKey', { KeyId: keyId, KeySpec: 'AES_256' });
    const bytes = Buffer.from(dataKey.Plaintext, 'base64');
    equal([bytes.length, bytes.toString('base64')], [32, dataKey.Plaintext]);
    equal((await kim('Decrypt', { CiphertextBlob: dataKey.CiphertextBlob })).Plaintext, dataKey.Plaintext);
  });
}

async function keepSecret(report, kim, name) {
  await report.check('create a secret and read it', async () => {
    await kim('CreateSecret', { SecretName: name, VersionId: 'v1', SecretData: TEXTS.secret_v1 });
    equal((await kim('GetSecretValue', { SecretName: name })).SecretData, TEXTS.secret_v1);
  });
  await report.check('put a second version and read both', async () => {
    await kim('PutSecretValue', { SecretName: name, VersionId: 'v2', SecretData: TEXTS.secret_v2 });
    const current = await kim('GetSecretValue', { SecretName: name });
    equal([current.VersionId, current.SecretData], ['v2', TEXTS.secret_v2]);
    equal(current.VersionStages.VersionStage, ['ACSCurrent']);
    const previous = await kim('GetSecretValue', { SecretName: name, VersionStage: 'ACSPrevious' });
    equal([previous.VersionId, previous.SecretData], ['v1', TEXTS.secret_v1]);
  });
  await report.check('list secrets', async () => {
    const { SecretList } = await kim('ListSecrets', { PageNumber: 1, PageSize: 100 });
    equal(SecretList.Secret.some((secret) => secret.SecretName === name), true);
  });
}

async function setPolicies(report, kim, keyId) {
  for (const [what, policy] of [['the largest policy', largestPolicy()], ['a policy', POLICY]]) {
    await report.check(`set ${what} and read it back unchanged`, async () => {
      await kim('SetKeyPolicy', { KeyId: keyId, PolicyName: 'default', Policy: policy });
      equal((await kim('GetKeyPolicy', { KeyId: keyId, PolicyName: 'default' })).Policy, policy);
    });
  }
}

async function obeyPolicies(report, alice, bob, keyId) {
  let blob;
  await report.check('alice may encrypt with the key', async () => {
    blob = (await alice('Encrypt', { KeyId: keyId, Plaintext: 'aGVsbG8=' })).CiphertextBlob;
  });
  await report.refused('alice may not decrypt with it', ...DENIED, () => alice('Decrypt', { CiphertextBlob: blob }));
  await report.check('alice may read orders/db-password', async () => {
    equal((await alice('GetSecretValue', { SecretName: 'orders/db-password' })).SecretName, 'orders/db-password');
  });
  await report.refused('alice may not read payroll/db-password', ...DENIED,
    () => alice('GetSecretValue', { SecretName: 'payroll/db-password' }));
  await report.check('bob may describe alias/orders', () => bob('DescribeKey', { KeyId: 'alias/orders' }));
  await report.refused('bob may not read orders/db-password', ...DENIED,
    () => bob('GetSecretValue', { SecretName: 'orders/db-password' }));
}

async function disableKey(report, kim, keyId) {
  const encrypt = () => kim('Encrypt', { KeyId: keyId, Plaintext: 'aGVsbG8=' });
  await report.refused('a disabled key does not encrypt', 409, 'Rejected.Disabled', async () => {
    await kim('DisableKey', { KeyId: keyId });
    await encrypt();
  });
  await report.check('an enabled key encrypts again', async () => {
    await kim('EnableKey', { KeyId: keyId });
    await encrypt();
  });
}

async function rejectStrangers(report, connect, [id, secret]) {
  await report.refused('a wrong secret is refused', 400, 'SignatureDoesNotMatch',
    () => connect(id, `${secret}x`)('ListKeys', {}));
  await report.refused('an unknown access key is refused', 404, 'InvalidAccessKeyId.NotFound',
    () => connect(`${id}x`, secret)('ListKeys', {}));
}

async function beginSessions(report, connect, kim, alice) {
  let credentials;
  let narrowed;
  await report.check('kim is told who she is', async () => {
    const identity = await kim('GetCallerIdentity', {});
    equal([identity.IdentityType, identity.Arn], ['RAMUser', `${ACCOUNT}:user/kim`]);
  });
  await report.check('kim may assume the role', async () => {
    const answer = await kim('AssumeRole', { RoleArn: ROLE, RoleSessionName: 'sdk', DurationSeconds: 900 });
    credentials = answer.Credentials;
    equal(answer.AssumedRoleUser.Arn, `${ROLE}/sdk`);
  });
  await report.check('kim may assume the role with a session policy', async () => {
    const params = { RoleArn: ROLE, RoleSessionName: 'narrow', DurationSeconds: 900, Policy: ENCRYPT_ONLY };
    narrowed = (await kim('AssumeRole', params)).Credentials;
  });
  await report.refused('alice may not assume it', 403, 'NoPermission',
    () => alice('AssumeRole', { RoleArn: ROLE, RoleSessionName: 'sdk' }));
  await useSession(report, connect, credentials);
  await useNarrowedSession(report, connect, narrowed);
}

const openSession = (connect, credentials) =>
  connect(credentials.AccessKeyId, credentials.AccessKeySecret, { token: credentials.SecurityToken });

async function useSession(report, connect, credentials) {
  await report.check('the session is told who it is', async () => {
    const identity = await openSession(connect, credentials)('GetCallerIdentity', {});
    equal([identity.IdentityType, identity.Arn], ['AssumedRoleUser', `${ACCOUNT}:assumed-role/payroll-service/sdk`]);
  });
  await report.check('the session may encrypt and decrypt with alias/payroll', async () => {
    const session = openSession(connect, credentials);
    const { CiphertextBlob } = await session('Encrypt', { KeyId: 'alias/payroll', Plaintext: 'aGVsbG8=' });
    equal((await session('Decrypt', { CiphertextBlob })).Plaintext, 'aGVsbG8=');
  });
  await report.refused('the session may not encrypt with alias/orders', ...DENIED,
    async () => openSession(connect, credentials)('Encrypt', { KeyId: 'alias/orders', Plaintext: 'aGVsbG8=' }));
  await report.check('the session may read payroll/db-password', async () => {
    const secret = await openSession(connect, credentials)('GetSecretValue', { SecretName: 'payroll/db-password' });
    equal(secret.SecretName, 'payroll/db-password');
  });
  await report.refused('a token that was tampered with is refused', 400, 'InvalidSecurityToken.Malformed', async () => {
    const changed = { ...credentials, SecurityToken: tampered(credentials.SecurityToken) };
    return openSession(connect, changed)('GetSecretValue', { SecretName: 'payroll/db-password' });
  });
}

async function useNarrowedSession(report, connect, credentials) {
  let blob;
  await report.check('a session with a policy may do what both allow', async () => {
    const session = openSession(connect, credentials);
    blob = (await session('Encrypt', { KeyId: 'alias/payroll', Plaintext: 'aGVsbG8=' })).CiphertextBlob;
  });
  await report.refused('a session with a policy may not do what only its role may', ...DENIED,
    async () => openSession(connect, credentials)('Decrypt', { CiphertextBlob: blob }));
}

// The token with another character in its middle, so that it is still base64.
function tampered(token) {
  const middle = Math.floor(token.length / 2);
  return token.slice(0, middle) + (token[middle] === 'A' ? 'B' : 'A') + token.slice(middle + 1);
}

async function comeOverTls(report, kim) {
  await report.check('encrypt/decrypt round trip over TLS', async () => {
    const { CiphertextBlob } = await kim('Encrypt', { KeyId: 'alias/orders', Plaintext: 'aGVsbG8=' });
    equal((await kim('Decrypt', { CiphertextBlob })).Plaintext, 'aGVsbG8=');
  });
}
