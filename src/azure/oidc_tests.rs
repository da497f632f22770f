//! The checks of an ID token, step by step, over keys made here.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use serde_json::{Value, json};

use super::*;

const TENANT: &str = "00000000-0000-4000-8000-0000000000a1";
const CLIENT: &str = "00000000-0000-4000-8000-0000000000c1";
const USER: &str = "00000000-0000-4000-8000-0000000000e1";
const LOGIN: &str = "https://login.microsoftonline.com";
const NOW: i64 = 1_768_478_400;

struct Signer {
    pair: KeyPair,
    keys: Keys,
}

impl Signer {
    fn new() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key pair");
        let public = pair.public_key();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = Key {
            kty: Some("RSA".to_owned()),
            usage: Some("sig".to_owned()),
            kid: Some("one".to_owned()),
            n: Some(part(public.modulus().big_endian_without_leading_zero())),
            e: Some(part(public.exponent().big_endian_without_leading_zero())),
            issuer: Some(format!("{LOGIN}/{{tenantid}}/v2.0")),
        };
        let keys = Keys { issuer: format!("{LOGIN}/{{tenantid}}/v2.0"), keys: vec![key], read_at: now() };
        Self { pair, keys }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .expect("signing works");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn now() -> Timestamp {
    Timestamp::from_timestamp(NOW, 0).expect("in range")
}

fn claims() -> Value {
    json!({
        "aud": CLIENT, "iss": format!("{LOGIN}/{TENANT}/v2.0"), "iat": NOW, "nbf": NOW, "exp": NOW + 3600, "tid": TENANT,
        "oid": USER, "nonce": "n", "ver": "2.0", "name": "Ada", "preferred_username": "ada@contoso.example",
    })
}

fn header() -> Value {
    json!({ "alg": "RS256", "kid": "one", "typ": "JWT" })
}

fn expected() -> Expected<'static> {
    Expected { client_id: CLIENT.parse().expect("a GUID"), tenant: TENANT.parse().ok(), nonce: "n" }
}

#[test]
fn a_good_token_names_its_person_and_each_changed_claim_is_refused_at_its_own_step() {
    let signer = Signer::new();
    let check = |claims: &Value| validate(&signer.sign(&header(), claims), &signer.keys, &expected(), now());
    let person = check(&claims()).expect("a good token");
    assert_eq!((person.tenant.to_string(), person.object_id.to_string()), (TENANT.to_owned(), USER.to_owned()));
    assert_eq!((person.name.as_str(), person.user_name.as_str()), ("Ada", "ada@contoso.example"));

    let personal = PERSONAL_ACCOUNTS.to_string();
    let other = "00000000-0000-4000-8000-0000000000a2";
    let cases: [(&[(&str, Value)], IdTokenFault); 14] = [
        (&[("aud", other.into())], IdTokenFault::Audience),
        (&[("aud", Value::Null)], IdTokenFault::Audience),
        (&[("exp", (NOW - 301).into())], IdTokenFault::Expired),
        (&[("exp", Value::Null)], IdTokenFault::Malformed),
        (&[("nbf", (NOW + 301).into())], IdTokenFault::NotYetValid),
        (&[("tid", "common".into())], IdTokenFault::Malformed),
        (&[("iss", format!("{LOGIN}/{other}/v2.0").into())], IdTokenFault::Issuer),
        (&[("iss", format!("https://evil.example/{TENANT}/v2.0").into())], IdTokenFault::Issuer),
        (&[("tid", other.into()), ("iss", format!("{LOGIN}/{other}/v2.0").into())], IdTokenFault::Tenant),
        (
            &[("tid", personal.clone().into()), ("iss", format!("{LOGIN}/{personal}/v2.0").into())],
            IdTokenFault::PersonalAccount,
        ),
        (&[("nonce", "m".into())], IdTokenFault::Nonce),
        (&[("nonce", Value::Null)], IdTokenFault::Nonce),
        (&[("ver", "1.0".into())], IdTokenFault::Version),
        (&[("oid", Value::Null)], IdTokenFault::Malformed),
    ];
    for (changes, fault) in cases {
        let mut claims = claims();
        for (name, value) in changes {
            claims[name] = value.clone();
        }
        assert_eq!(check(&claims), Err(fault), "{changes:?}");
    }
    // Five minutes of skew are forgiven.
    let mut late = claims();
    late["exp"] = (NOW - 299).into();
    assert!(check(&late).is_ok());
}

#[test]
fn no_other_algorithm_no_other_key_and_no_altered_text_is_accepted() {
    let signer = Signer::new();
    let check = |token: &str, keys: &Keys| validate(token, keys, &expected(), now());
    for alg in ["none", "HS256", "RS384", "PS256", "rs256"] {
        let token = signer.sign(&json!({ "alg": alg, "kid": "one" }), &claims());
        assert_eq!(check(&token, &signer.keys), Err(IdTokenFault::Algorithm), "{alg}");
    }
    let unknown = signer.sign(&json!({ "alg": "RS256", "kid": "two" }), &claims());
    assert_eq!(check(&unknown, &signer.keys), Err(IdTokenFault::UnknownKey));
    let without = signer.sign(&json!({ "alg": "RS256" }), &claims());
    assert_eq!(check(&without, &signer.keys), Err(IdTokenFault::UnknownKey));

    let good = signer.sign(&header(), &claims());
    let mut forged = claims();
    forged["oid"] = TENANT.into();
    let signature = good.rsplit('.').next().expect("a signature");
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let altered = format!("{}.{}.{signature}", part(&header()), part(&forged));
    assert_eq!(check(&altered, &signer.keys), Err(IdTokenFault::Signature));
    assert_eq!(check(&good, &Signer::new().keys), Err(IdTokenFault::Signature));
    let unsigned = good.trim_end_matches(signature);
    assert_eq!(check(unsigned, &signer.keys), Err(IdTokenFault::Signature));
    for text in ["", ".", "..", "a.b.c", "a.b"] {
        assert_eq!(check(text, &signer.keys), Err(IdTokenFault::Malformed), "{text:?}");
    }
}

#[test]
fn a_key_pinned_to_one_tenant_signs_for_no_other() {
    let mut signer = Signer::new();
    signer.keys.keys[0].issuer = Some(format!("{LOGIN}/{PERSONAL_ACCOUNTS}/v2.0"));
    let token = signer.sign(&header(), &claims());
    assert_eq!(validate(&token, &signer.keys, &expected(), now()), Err(IdTokenFault::KeyIssuer));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_checks_panic_or_pass(header in ".*", claims in ".*", signature in ".*", raw in ".*") {
        let keys = Keys { issuer: String::new(), keys: Vec::new(), read_at: now() };
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for token in [raw.clone(), format!("{}.{}.{signature}", part(&header), part(&claims)), format!("{}..", part(&raw))] {
            proptest::prop_assert!(validate(&token, &keys, &expected(), now()).is_err());
        }
    }
}

#[test]
fn a_domain_has_two_labels_of_harmless_letters() {
    for text in ["contoso.example", "Contoso.onmicrosoft.com", " a-b.c "] {
        assert!(Domain::parse(text).is_some(), "{text}");
    }
    for text in
        ["", "contoso", "../x.y", "a..b", "-a.b", "127.0.0.1", "a.b/c", "a.b?c", "münchen.example", &"a.".repeat(200)]
    {
        assert!(Domain::parse(text).is_none(), "{text}");
    }
}
