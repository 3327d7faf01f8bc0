//! Signatures against the documentation's examples and the official signers' results.

use super::*;

/// The example of the KMS documentation ("Request signatures"); its masked tail was computed.
#[test]
fn v1_signs_like_the_documentation() {
    let params: Params = [
        ("AccessKeyId", "testid"),
        ("Action", "CreateKey"),
        ("Format", "json"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("Timestamp", "2016-03-28T03:13:08Z"),
        ("Version", "2016-01-20"),
    ]
    .into_iter()
    .collect();
    assert_eq!(rpc_signature(&"testsecret".into(), "GET", &params), "41wk2SSX1GJh7fwnc5eqOfiJPFg=");
}

/// An example that the official signers agree with: query, form body, awkward characters.
#[test]
fn v3_and_v4_sign_like_the_official_signers() {
    let query: Params = [("SecretName", "app/db+1"), ("VersionId", "v 1")].into_iter().collect();
    let scope = CredentialScope { date: "20260102".into(), region: "cn-hangzhou".into(), product: "Kms".into() };
    for (algorithm, scope, expected) in [
        (Algorithm::ACS3_HMAC_SHA256, None, "6ee042cf99de13c62d3d579fb9739c2f7df56148637e0f52c7883fc160e1c48d"),
        (Algorithm::ACS3_HMAC_SM3, None, "99edc2377ef6926af4e96f258e18f04fb89933e6e8cb88f932e29024863060a3"),
        (Algorithm::ACS4_HMAC_SHA256, Some(&scope), "e64f361be2060345ae1617fd29391ae8cb026ffdd2cdec912b316d50a91e071c"),
    ] {
        let hash = payload_hash(algorithm, b"SecretData=p%40ss+w%2Brd%2A~");
        let headers = format!(
            "content-type:application/x-www-form-urlencoded\nhost:kms.cn-hangzhou.aliyuncs.com\n\
             x-acs-action:CreateSecret\nx-acs-content-sha256:{hash}\nx-acs-date:2026-01-02T03:04:05Z\n\
             x-acs-signature-nonce:00112233445566778899aabbccddeeff\nx-acs-version:2016-01-20\n"
        );
        let parts = AcsParts {
            method: "POST",
            canonical_query: &query.canonical(),
            canonical_headers: &headers,
            signed_headers: "content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version",
            payload_hash: &hash,
        };
        let signature = acs_signature(algorithm, scope, &"example-secret-alice-0000000000".into(), &parts);
        assert_eq!(signature, expected, "{algorithm:?}");
    }
}
