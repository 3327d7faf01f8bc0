//! One row for each way in which a request could mean two things.

use super::*;

/// A signed V1 request in its parts; the signature is not verified here.
const V1: &str = "Action=Encrypt&Version=2016-01-20&Format=JSON&AccessKeyId=LTAI1&SignatureMethod=HMAC-SHA1&\
    SignatureVersion=1.0&SignatureNonce=n1&Timestamp=2026-01-02T03:04:05Z&Signature=c2ln&KeyId=key-1";

const V3: &[(&str, &str)] = &[
    ("host", "127.0.0.1:7480"),
    ("x-acs-action", "Encrypt"),
    ("x-acs-version", "2016-01-20"),
    ("x-acs-date", "2026-01-02T03:04:05Z"),
    ("x-acs-signature-nonce", "n1"),
    ("x-acs-content-sha256", "00"),
    (
        "authorization",
        "ACS3-HMAC-SHA256 Credential=LTAI1,SignedHeaders=host;x-acs-action;x-acs-content-sha256;\
        x-acs-date;x-acs-signature-nonce;x-acs-version,Signature=00",
    ),
];

fn parse(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Result<KmsRequest, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    let raw = RawRequest { method, target, headers: &map, body: body.as_bytes(), origin: Origin::unknown() };
    KmsRequest::parse(&raw).map_err(|error| format!("{}: {}", error.code.as_str(), error.message))
}

fn v1(target: &str, headers: &[(&str, &str)]) -> Result<KmsRequest, String> {
    parse("POST", target, headers, "")
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[test]
fn both_schemes_give_the_same_meaning() {
    let one = v1(&format!("/?{V1}"), &[]).unwrap();
    let other = parse("POST", "/?KeyId=key-1", V3, "").unwrap();
    assert_eq!((one.call.name(), &one.params), ("Encrypt", &other.params));
    assert_eq!(one.params.iter().collect::<Vec<_>>(), [("KeyId", "key-1")]);
    assert_eq!((one.scheme.access_key_id(), other.scheme.access_key_id()), (Some("LTAI1"), Some("LTAI1")));
}

/// Rows: the region in the scope of a V4 signature, the parameter `RegionId`, what the client states by both.
#[test]
fn a_v4_signature_states_a_region_unless_its_client_knows_none() {
    let another = "InvalidParameter: The specified parameter \"RegionId\" is not valid: the signature is made for another region.";
    for (scope, parameter, expected) in [
        ("cn-hangzhou", "", Ok(Some("cn-hangzhou"))),
        ("cn-hangzhou", "&RegionId=cn-hangzhou", Ok(Some("cn-hangzhou"))),
        ("cn-beijing", "&RegionId=cn-hangzhou", Err(another)),
        ("center", "", Ok(None)),
        ("svc:7480", "", Ok(None)),
        ("center", "&RegionId=cn-beijing", Ok(Some("cn-beijing"))),
    ] {
        let credential = format!("ACS4-HMAC-SHA256 Credential=LTAI1/20260102/{scope}/Kms/aliyun_v4_request,");
        let headers: Vec<_> = V3
            .iter()
            .map(|(name, value)| (*name, value.replace("ACS3-HMAC-SHA256 Credential=LTAI1,", &credential)))
            .collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let told = parse("POST", &format!("/?KeyId=key-1{parameter}"), &headers, "").map(|request| request.region);
        let told = told.as_ref().map(Option::as_deref).map_err(String::as_str);
        assert_eq!(told, expected, "{scope} {parameter}");
    }
}

#[test]
fn parameters_may_stand_in_the_query_or_the_form_or_both() {
    assert!(parse("POST", "/", &[FORM], V1).is_ok());
    assert!(parse("GET", &format!("/?{V1}"), &[], "").is_ok());
    let request = parse("POST", &format!("/?{V1}"), &[FORM], "Plaintext=aGk%3D").unwrap();
    assert_eq!(request.params.get("Plaintext"), Some("aGk="));
}

#[test]
fn http_proxy_mode_is_understood() {
    let target = format!("http://kms.cn-hangzhou.aliyuncs.com/?{V1}");
    assert!(v1(&target, &[("host", "kms.cn-hangzhou.aliyuncs.com")]).is_ok());
    assert!(v1(&target, &[("host", "other.example")]).unwrap_err().contains("host"));
}

#[test]
fn xml_is_for_those_who_ask_in_v1() {
    let xml = V1.replace("Format=JSON", "Format=XML");
    assert_eq!(v1(&format!("/?{xml}"), &[]).unwrap().format, Format::Xml);
    assert_eq!(parse("POST", "/?Format=XML&KeyId=k", V3, "").unwrap().format, Format::Json);
}

#[test]
fn pop_core_may_write_the_action_header_with_a_small_letter() {
    assert!(v1(&format!("/?{V1}"), &[("x-acs-action", "encrypt")]).is_ok());
}

/// A request, by method, target, headers and body, and the code that it is refused with.
type Row<'a> = (&'a str, String, &'a [(&'a str, &'a str)], &'a str, &'a str);

fn check_refused(rows: &[Row<'_>]) {
    for (method, target, headers, body, code) in rows {
        let result = parse(method, target, headers, body).map(|request| request.call.name().to_owned());
        assert!(
            result.as_ref().is_err_and(|error| error.starts_with(&format!("{code}:"))),
            "{method} {target} {headers:?} {body:?}: {result:?}, expected {code}"
        );
    }
}

const NO_HEADERS: &[(&str, &str)] = &[];

#[test]
fn what_could_mean_two_things_is_refused() {
    let query = format!("/?{V1}");
    let with = |extra: &str| format!("/?{V1}&{extra}");
    check_refused(&[
        ("PUT", query.clone(), NO_HEADERS, "", "UnsupportedHTTPMethod"),
        ("get", query.clone(), NO_HEADERS, "", "UnsupportedHTTPMethod"),
        ("POST", format!("//?{V1}"), NO_HEADERS, "", "InvalidApi.NotFound"),
        ("POST", format!("/./?{V1}"), NO_HEADERS, "", "InvalidApi.NotFound"),
        ("POST", format!("/%2f?{V1}"), NO_HEADERS, "", "InvalidApi.NotFound"),
        ("POST", format!("?{V1}"), NO_HEADERS, "", "InvalidApi.NotFound"),
        ("POST", format!("{query}#x"), NO_HEADERS, "", "InvalidApi.NotFound"),
        ("POST", "*".into(), NO_HEADERS, "", "InvalidApi.NotFound"),
        ("POST", with("Action=Encrypt"), NO_HEADERS, "", "InvalidParameter"),
        ("POST", with("KeyId=key-2"), NO_HEADERS, "", "InvalidParameter"),
        ("POST", with("keyid=key-2"), NO_HEADERS, "", "InvalidParameter"),
        ("POST", with("SourceIp=10.0.0.1"), NO_HEADERS, "", "InvalidParameter"),
        ("POST", with("OwnerId=2"), NO_HEADERS, "", "InvalidParameter"),
        ("POST", with("x;y=1"), NO_HEADERS, "", "ParseRequestParameterException"),
        ("POST", with("BearerToken=x"), NO_HEADERS, "", "IncompleteSignature"),
        ("POST", query.clone(), &[FORM], "KeyId=key-1", "InvalidParameter"),
        ("POST", query.clone(), &[], "Plaintext=x", "ParseRequestParameterException"),
        ("POST", query.clone(), &[("content-type", "application/json")], "{}", "ParseRequestParameterException"),
        (
            "POST",
            query.clone(),
            &[("content-type", "application/x-www-form-urlencoded; charset=utf-16")],
            "a=b",
            "ParseRequestParameterException",
        ),
        ("GET", query.clone(), &[FORM], "Plaintext=x", "ParseRequestParameterException"),
        ("POST", query.clone(), &[("x-acs-action", "Decrypt")], "", "InvalidParameter"),
        ("POST", query.clone(), &[("x-acs-action", "ENCRYPT")], "", "InvalidParameter"),
        ("POST", query.clone(), &[("x-acs-version", "2015-01-01")], "", "NoSuchVersion"),
        ("POST", query.clone(), &[("x-acs-accesskey-id", "LTAI2")], "", "IncompleteSignature"),
        ("POST", query.clone(), &[("x-acs-security-token", "t")], "", "IncompleteSignature"),
        ("POST", query.clone(), &[("x-acs-proxy-source-ip", "10.0.0.1")], "", "InvalidParameter"),
        ("POST", query.clone(), &[("x-acs-bearer-token", "t")], "", "IncompleteSignature"),
        ("POST", query.clone(), &[("x-acs-action", "Encrypt"), ("x-acs-action", "Encrypt")], "", "InvalidParameter"),
        ("POST", query.clone(), &[("x_acs_action", "Encrypt")], "", "InvalidParameter"),
        ("POST", query.clone(), &[("content-encoding", "gzip")], "", "InvalidParameter"),
        ("POST", query.clone(), V3, "", "IncompleteSignature"),
        ("POST", "/".into(), NO_HEADERS, "", "MissingParameter"),
    ]);
}

#[test]
fn what_is_missing_unknown_or_of_another_api_is_refused() {
    let query = format!("/?{V1}");
    let without = |name: &str| {
        let kept: Vec<&str> = V1.split('&').filter(|piece| !piece.starts_with(name)).collect();
        format!("/?{}", kept.join("&"))
    };
    check_refused(&[
        ("POST", query.replace("HMAC-SHA1", "HMAC-MD5"), NO_HEADERS, "", "InvalidSignatureMethod"),
        ("POST", query.replace("SignatureVersion=1.0", "SignatureVersion=2.0"), NO_HEADERS, "", "InvalidParameter"),
        ("POST", query.replace("Action=Encrypt", "Action=encrypt"), NO_HEADERS, "", "InvalidApi.NotFound"),
        ("POST", query.replace("Action=Encrypt", "Action=Encrypt%20"), NO_HEADERS, "", "InvalidApi.NotFound"),
        ("POST", query.replace("2016-01-20", "2016-01-21"), NO_HEADERS, "", "NoSuchVersion"),
        ("POST", without("Action"), NO_HEADERS, "", "MissingParameter"),
        ("POST", without("Version"), NO_HEADERS, "", "MissingParameter"),
        ("POST", without("AccessKeyId"), NO_HEADERS, "", "MissingParameter"),
        ("POST", without("SignatureMethod"), NO_HEADERS, "", "InvalidSignatureMethod"),
        ("POST", without("Signature="), NO_HEADERS, "", "IncompleteSignature"),
        ("POST", "/?Action=ListKeys".into(), NO_HEADERS, "", "MissingParameter"),
        ("POST", "/?Action=ListKeys&Version=2016-01-20&Timestamp=x".into(), NO_HEADERS, "", "IncompleteSignature"),
        ("POST", "/?Action=ListKeys&Version=2016-01-20&SecurityToken=x".into(), NO_HEADERS, "", "IncompleteSignature"),
        (
            "POST",
            "/?Action=ListKeys&Version=2016-01-20".into(),
            &[("x-acs-accesskey-id", "x")],
            "",
            "IncompleteSignature",
        ),
        ("POST", "/?Action=ListKeys&Version=2016-01-20".into(), &[("x-acs-action", "Encrypt")], "", "InvalidParameter"),
        ("POST", "/?Action=AssumeRole&Version=2016-01-20".into(), NO_HEADERS, "", "NoSuchVersion"),
        ("POST", "/?Action=ListKeys&Version=2015-04-01".into(), NO_HEADERS, "", "NoSuchVersion"),
        ("POST", "/?Action=Anything&Version=2015-04-01".into(), NO_HEADERS, "", "InvalidApi.NotFound"),
        ("POST", "/?Action=Decrypt".into(), V3, "", "InvalidParameter"),
        ("POST", "/?SignatureType=BEARERTOKEN".into(), V3, "", "InvalidSignatureMethod"),
        ("POST", "/?SecurityToken=x".into(), V3, "", "IncompleteSignature"),
        ("POST", "/?Timestamp=2026-01-02T03:04:05Z".into(), V3, "", "IncompleteSignature"),
    ]);
}

/// A V3 request with one header replaced, removed (`None`) or added is refused.
#[test]
fn v3_headers_must_be_complete_and_signed() {
    for (name, value, code) in [
        ("x-acs-action", None, "IncompleteSignature"),
        ("x-acs-date", None, "IncompleteSignature"),
        ("x-acs-security-token", Some("t"), "IncompleteSignature"),
        ("x-acs-anything", Some("t"), "IncompleteSignature"),
        ("x-acs-version", Some("2015-04-01"), "NoSuchVersion"),
        ("authorization", Some("ACS3-HMAC-SHA256"), "IncompleteSignature"),
        ("authorization", Some("ACS3-HMAC-SHA256 Credential=LTAI1,Signature=00"), "IncompleteSignature"),
        ("authorization", Some("ACS4-HMAC-SHA256 Credential=a,SignedHeaders=b,Signature=c"), "IncompleteSignature"),
        ("authorization", Some("ACS4-RSA-SHA256 Credential=a,SignedHeaders=b,Signature=c"), "InvalidSignatureMethod"),
        ("authorization", Some("HMAC-SHA1 Credential=a,SignedHeaders=b,Signature=c"), "InvalidSignatureMethod"),
        ("authorization", Some("Bearer abc"), "InvalidSignatureMethod"),
    ] {
        let mut headers: Vec<_> = V3.iter().copied().filter(|(header, _)| *header != name).collect();
        headers.extend(value.map(|value| (name, value)));
        let result = parse("POST", "/?KeyId=k", &headers, "").map(|_| ());
        assert!(result.as_ref().is_err_and(|error| error.starts_with(code)), "{name} {value:?}: {result:?}");
    }
    let body = parse("POST", "/", &[V3, &[FORM]].concat(), "KeyId=k").map(|_| ());
    assert!(body.unwrap_err().contains("content-type is not signed"));
}

#[test]
fn an_operation_that_is_not_in_the_table_keeps_its_name() {
    let request = v1(&format!("/?{}", V1.replace("Action=Encrypt", "Action=BrandNewThing")), &[]).unwrap();
    assert_eq!(request.call, Call::Unknown("BrandNewThing".into()));
}

#[test]
fn a_request_prints_no_value_no_signature_and_no_token() {
    let target = format!("/?{}&Plaintext=hush&SecurityToken=token-hush", V1.replace("c2ln", "sign-hush"));
    let mut headers = V3.to_vec();
    headers.push(("x-acs-security-token", "token-hush"));
    for (_, value) in headers.iter_mut().filter(|(name, _)| *name == "authorization") {
        *value = "ACS3-HMAC-SHA256 Credential=LTAI1,SignedHeaders=host;x-acs-action;x-acs-content-sha256;\
            x-acs-date;x-acs-security-token;x-acs-signature-nonce;x-acs-version,Signature=sign-hush";
    }
    for request in [v1(&target, &[]), parse("POST", "/?KeyId=hush", &headers, "")] {
        let printed = format!("{:?}", request.unwrap());
        assert!(printed.contains("LTAI1") && !printed.contains("hush"), "{printed}");
    }
}
