//! Our certificate as a credential: read from PEM or PKCS#12, and the assertions signed with it
//! ("Identity, consent and onboarding contract", 4.2).

use std::fmt;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{NaiveDateTime, TimeDelta};
use serde_json::{Value, json};
use uuid::Uuid;

use super::der::{AROUND_0, BIT_STRING, Der, GENERALIZED_TIME, INTEGER, SEQUENCE, UTC_TIME};
use super::pkcs12;
use crate::model::{ClientId, Timestamp};

/// The shortest RSA key that Entra takes, in bytes.
const LEAST_KEY: usize = 2048 / 8;

/// How long an assertion lives: Entra takes ten minutes at most.
const LIFE: TimeDelta = TimeDelta::minutes(5);

/// How far its beginning lies back, for clocks that do not agree.
const SKEW: TimeDelta = TimeDelta::seconds(30);

/// A certificate with its private key.
pub struct Certificate {
    der: Vec<u8>,
    key: rsa::KeyPair,
    not_after: Timestamp,
    algorithm: SigningAlgorithm,
}

/// How assertions are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SigningAlgorithm {
    /// RSA-PSS, with the certificate's SHA-256 thumbprint: what Microsoft asks for.
    #[default]
    Ps256,
    /// PKCS #1 v1.5, with the SHA-1 thumbprint: for what does not know the other yet.
    Rs256,
}

/// Why a file holds no certificate that can sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Neither PEM nor PKCS#12.
    #[error("a file that is neither PEM nor PKCS#12")]
    Unreadable,
    /// PKCS#12 that does not open.
    #[error("a PKCS#12 file that does not open with the password")]
    Password,
    /// No certificate in it.
    #[error("a file without a certificate")]
    NoCertificate,
    /// No private key in it.
    #[error("a file without a private key")]
    NoKey,
    /// The PEM key is encrypted.
    #[error("a PEM file with an encrypted private key")]
    EncryptedKey,
    /// The key is not RSA of 2048 bits or more.
    #[error("a private key that is not RSA of at least 2048 bits")]
    Kind,
    /// The key belongs to another certificate.
    #[error("a private key that belongs to another certificate")]
    Mismatch,
    /// What should be a thumbprint is none.
    #[error("a thumbprint that is neither 40 nor 64 hex digits")]
    Thumbprint,
    /// The certificate in the file has another thumbprint.
    #[error("a certificate with another thumbprint")]
    OtherThumbprint,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("thumbprint", &self.thumbprint()).finish_non_exhaustive()
    }
}

/// The public part of a certificate, as it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicCertificate {
    /// DER.
    pub der: Vec<u8>,
    /// The RSA public key, PKCS #1.
    pub(crate) public_key: Vec<u8>,
    /// Its first moment.
    pub not_before: Timestamp,
    /// Its end.
    pub not_after: Timestamp,
}

impl PublicCertificate {
    /// Reads a certificate from DER.
    ///
    /// # Errors
    /// [`CertificateFault::Unreadable`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateFault> {
        Self::read(der).ok_or(CertificateFault::Unreadable)
    }

    /// The parts that matter here (RFC 5280, 4.1).
    fn read(der: &[u8]) -> Option<Self> {
        let mut signed = Der::new(der).within(SEQUENCE)?;
        let mut certificate = signed.within(SEQUENCE)?;
        // The algorithm and the signature.
        signed.of(SEQUENCE)?;
        signed.of(BIT_STRING)?;
        // The version, the serial number, the algorithm once more, and the issuer.
        certificate.optional(AROUND_0);
        certificate.of(INTEGER)?;
        certificate.of(SEQUENCE)?;
        certificate.of(SEQUENCE)?;
        let mut validity = certificate.within(SEQUENCE)?;
        let (not_before, not_after) = (moment(&mut validity)?, moment(&mut validity)?);
        // The subject.
        certificate.of(SEQUENCE)?;
        let mut key = certificate.within(SEQUENCE)?;
        key.of(SEQUENCE)?;
        // No bits are left over: all that is read here is whole bytes.
        let public_key = key.of(BIT_STRING)?.strip_prefix(&[0])?.to_vec();
        Some(Self { der: der.to_vec(), public_key, not_before, not_after })
    }

    /// Reads the first certificate of a PEM file, or DER; private keys beside it are passed over.
    ///
    /// # Errors
    /// [`CertificateFault::Unreadable`], [`CertificateFault::NoCertificate`].
    pub fn from_file(bytes: &[u8]) -> Result<Self, CertificateFault> {
        if !is_pem(bytes) {
            return Self::from_der(bytes);
        }
        let (_, certificates) = pem_parts(bytes)?;
        Self::from_der(certificates.first().ok_or(CertificateFault::NoCertificate)?)
    }

    /// SHA-1 of the DER in upper-case hex: the name that the portal shows.
    pub fn thumbprint(&self) -> String {
        thumbprint(&self.der)
    }
}

impl Certificate {
    /// Reads a certificate with its key from a PEM file (both in it, in any order) or a PKCS#12 file (`.pfx`, `.p12`).
    ///
    /// # Errors
    /// [`CertificateFault`].
    pub fn read(bytes: &[u8], password: &str, algorithm: SigningAlgorithm) -> Result<Self, CertificateFault> {
        let (keys, certificates) = if is_pem(bytes) { pem_parts(bytes)? } else { pkcs12::parts(bytes, password)? };
        if keys.is_empty() {
            return Err(CertificateFault::NoKey);
        }
        if certificates.is_empty() {
            return Err(CertificateFault::NoCertificate);
        }
        let keys: Vec<_> = keys.iter().filter_map(|der| rsa_key(der)).collect();
        if keys.is_empty() {
            return Err(CertificateFault::Kind);
        }
        // A file may hold a chain: ours is the certificate that the key belongs to.
        for key in keys {
            for der in &certificates {
                let public = PublicCertificate::from_der(der)?;
                if public.public_key == key.public_key().as_ref() {
                    return Ok(Self { der: der.clone(), key, not_after: public.not_after, algorithm });
                }
            }
        }
        Err(CertificateFault::Mismatch)
    }

    /// When it ends.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// SHA-1 of the DER in upper-case hex: the name that the portal shows.
    pub fn thumbprint(&self) -> String {
        thumbprint(&self.der)
    }

    /// The certificate without its key, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// A client assertion for one token endpoint.
    pub(super) fn assertion(&self, client_id: ClientId, token_endpoint: &str, id: Uuid, now: Timestamp) -> String {
        let header = match self.algorithm {
            SigningAlgorithm::Ps256 => json!({
                "alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.der)),
            }),
            SigningAlgorithm::Rs256 => json!({
                "alg": "RS256", "typ": "JWT", "x5t": URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.der)),
            }),
        };
        Signer { key: &self.key, algorithm: self.algorithm }.assertion(&header, client_id, token_endpoint, id, now)
    }
}

/// Signs assertions.
pub(super) struct Signer<'a> {
    pub key: &'a rsa::KeyPair,
    pub algorithm: SigningAlgorithm,
}

impl Signer<'_> {
    /// A client assertion for one token endpoint, under this header.
    pub(super) fn assertion(
        &self,
        header: &Value,
        client_id: ClientId,
        token_endpoint: &str,
        id: Uuid,
        now: Timestamp,
    ) -> String {
        let claims = json!({
            "aud": token_endpoint,
            "iss": client_id,
            "sub": client_id,
            "jti": id,
            "iat": now.timestamp(),
            "nbf": (now - SKEW).timestamp(),
            "exp": (now + LIFE).timestamp(),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(&claims));
        let padding: &'static dyn RsaEncoding = match self.algorithm {
            SigningAlgorithm::Ps256 => &RSA_PSS_SHA256,
            SigningAlgorithm::Rs256 => &RSA_PKCS1_SHA256,
        };
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(padding, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .expect("a key of 2048 bits or more signs any message");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The next moment of a validity (RFC 5280, 4.1.2.5): years of two digits are those from 1950 to 2049.
fn moment(validity: &mut Der<'_>) -> Option<Timestamp> {
    let time = validity.next()?;
    let text = str::from_utf8(time.content).ok()?;
    let century = match time.tag {
        UTC_TIME if text < "50" => "20",
        UTC_TIME => "19",
        GENERALIZED_TIME => "",
        _ => return None,
    };
    Some(NaiveDateTime::parse_from_str(&format!("{century}{text}"), "%Y%m%d%H%M%SZ").ok()?.and_utc())
}

fn thumbprint(der: &[u8]) -> String {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

fn is_pem(bytes: &[u8]) -> bool {
    const START: &[u8] = b"-----BEGIN ";
    bytes.windows(START.len()).any(|window| window == START)
}

/// Keys and certificates, DER.
pub(super) type Parts = (Vec<Vec<u8>>, Vec<Vec<u8>>);

pub(super) fn pem_parts(bytes: &[u8]) -> Result<Parts, CertificateFault> {
    let (mut keys, mut certificates) = (Vec::new(), Vec::new());
    for block in pem::parse_many(bytes).map_err(|_| CertificateFault::Unreadable)? {
        match block.tag() {
            "CERTIFICATE" => certificates.push(block.into_contents()),
            // The newer way and the older: encrypted as a whole, or with a header that says so.
            "ENCRYPTED PRIVATE KEY" => return Err(CertificateFault::EncryptedKey),
            label if label.ends_with("PRIVATE KEY") => match block.headers().get("DEK-Info") {
                Some(_) => return Err(CertificateFault::EncryptedKey),
                None => keys.push(block.into_contents()),
            },
            _ => {}
        }
    }
    Ok((keys, certificates))
}

/// An RSA key from PKCS #8 or PKCS #1, if it is one that Entra takes.
pub(super) fn rsa_key(der: &[u8]) -> Option<rsa::KeyPair> {
    let key = rsa::KeyPair::from_pkcs8(der).or_else(|_| rsa::KeyPair::from_der(der)).ok()?;
    (key.public_modulus_len() >= LEAST_KEY).then_some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;

    fn certificates() -> Vec<Vec<u8>> {
        let read = |name: &str| {
            let path = format!("{}/tests/fixtures/certificates/{name}", env!("CARGO_MANIFEST_DIR"));
            pem_parts(&std::fs::read(path).expect("a fixture")).expect("PEM").1
        };
        ["app.pem", "elliptic.pem", "mismatch.pem", "stranger.pem"].into_iter().flat_map(read).collect()
    }

    #[test]
    fn a_certificate_is_read_as_others_read_it() {
        let all = certificates();
        assert!(all.len() >= 4);
        for der in all {
            let ours = PublicCertificate::from_der(&der).expect("readable");
            let (_, theirs) = X509Certificate::from_der(&der).expect("readable");
            assert_eq!(ours.public_key, &*theirs.public_key().subject_public_key.data);
            assert_eq!(ours.not_before.timestamp(), theirs.validity().not_before.timestamp());
            assert_eq!(ours.not_after.timestamp(), theirs.validity().not_after.timestamp());
        }
    }

    #[test]
    fn a_validity_ends_in_the_century_that_is_meant() {
        let read = |tag: u8, text: &str| {
            let der = [&[tag, text.len() as u8], text.as_bytes()].concat();
            moment(&mut Der::new(&der)).map(|moment| moment.to_string())
        };
        assert_eq!(read(UTC_TIME, "491231235959Z").as_deref(), Some("2049-12-31 23:59:59 UTC"));
        assert_eq!(read(UTC_TIME, "500101000000Z").as_deref(), Some("1950-01-01 00:00:00 UTC"));
        assert_eq!(read(GENERALIZED_TIME, "99991231235959Z").as_deref(), Some("9999-12-31 23:59:59 UTC"));
        for (tag, text) in
            [(UTC_TIME, ""), (UTC_TIME, "4912312359Z"), (GENERALIZED_TIME, "20491331235959Z"), (INTEGER, "1")]
        {
            assert_eq!(read(tag, text), None, "{text}");
        }
    }

    #[test]
    fn a_key_that_is_encrypted_in_the_older_way_is_told_as_such() {
        let pem = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(pem_parts(pem.as_bytes()), Err(CertificateFault::EncryptedKey));
    }

    proptest! {
        #[test]
        fn a_damaged_certificate_never_ends_the_program(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            for mut der in certificates() {
                let length = der.len();
                prop_assert!(PublicCertificate::from_der(&der[..cut.index(length)]).is_err());
                der[at.index(length)] ^= byte;
                if let (Ok(ours), Ok((_, theirs))) = (PublicCertificate::from_der(&der), X509Certificate::from_der(&der)) {
                    prop_assert_eq!(ours.not_after.timestamp(), theirs.validity().not_after.timestamp());
                    prop_assert_eq!(ours.public_key, &*theirs.public_key().subject_public_key.data);
                }
            }
        }
    }
}
