//! PKCS#12 files (RFC 7292), the keys and certificates in them. What OpenSSL, Windows, .NET and Java write: integrity by a
//! password's MAC, contents under PBES2 (RFC 8018) or, of old, under triple DES and RC2.

use aws_lc_rs::digest::{self, digest};
use aws_lc_rs::hmac;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt as _, KeyInit, KeyIvInit as _};
use des::TdesEde3;
use pkcs5::EncryptionScheme;
use pkcs5::pbes2::Kdf;
use rc2::Rc2;

use super::CertificateFault;
use super::certificate::Parts;
use super::der::{AROUND_0, Der, INSTEAD_0, OBJECT, OCTET_STRING, SEQUENCE};

/// Object identifiers as they are written.
const DATA: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x07\x01";
const ENCRYPTED_DATA: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x07\x06";
const KEY_BAG: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x0C\x0A\x01\x01";
const SHROUDED_KEY_BAG: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x0C\x0A\x01\x02";
const CERTIFICATE_BAG: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x0C\x0A\x01\x03";
const X509: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x09\x16\x01";
const SHA1_AND_TRIPLE_DES: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x0C\x01\x03";
const SHA1_AND_RC2_40: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x0C\x01\x06";

/// What a file may ask for before its password is known to be wrong: rounds of hashing, and for scrypt memory and threads.
const MOST_ROUNDS: u32 = 1_000_000;
const MOST_MEMORY: u64 = 1 << 30;
const MOST_LANES: u16 = 16;

/// What a derived key is for (RFC 7292, B.3).
const FOR_KEY: u8 = 1;
const FOR_START: u8 = 2;
const FOR_MAC: u8 = 3;

/// The keys (PKCS #8) and certificates of a file.
///
/// # Errors
/// [`CertificateFault::Unreadable`], [`CertificateFault::Password`].
pub(super) fn parts(file: &[u8], password: &str) -> Result<Parts, CertificateFault> {
    let mut read = Reader { password, keys: Vec::new(), certificates: Vec::new(), wrong_password: false };
    match read.file(file) {
        Some(()) => Ok((read.keys, read.certificates)),
        None if read.wrong_password => Err(CertificateFault::Password),
        None => Err(CertificateFault::Unreadable),
    }
}

struct Reader<'a> {
    password: &'a str,
    keys: Vec<Vec<u8>>,
    certificates: Vec<Vec<u8>>,
    /// Whether that is why it could not be read.
    wrong_password: bool,
}

impl Reader<'_> {
    fn file(&mut self, file: &[u8]) -> Option<()> {
        let mut outer = Der::new(file).within(SEQUENCE)?;
        // There is no other version.
        outer.number().filter(|version| *version == 3)?;
        let (kind, mut content) = content_info(&mut outer)?;
        let safes = content.of(OCTET_STRING).filter(|_| kind == DATA)?;
        // Java and OpenSSL can leave the MAC out.
        if !outer.is_empty() {
            self.mac(outer.within(SEQUENCE)?, safes)?;
        }
        let mut safes = Der::new(safes).within(SEQUENCE)?;
        while !safes.is_empty() {
            let (kind, mut content) = content_info(&mut safes)?;
            if kind == DATA {
                self.bags(content.of(OCTET_STRING)?)?;
            } else if kind == ENCRYPTED_DATA {
                let mut data = content.within(SEQUENCE)?;
                data.number().filter(|version| *version == 0)?;
                let mut encrypted = data.within(SEQUENCE)?;
                encrypted.of(OBJECT)?;
                let scheme = encrypted.next()?.whole;
                if let Some(secret) = encrypted.optional(INSTEAD_0) {
                    let bags = self.decrypted(scheme, secret)?;
                    self.bags(&bags)?;
                }
            } else {
                return None;
            }
        }
        Some(())
    }

    fn mac(&mut self, mut mac: Der<'_>, content: &[u8]) -> Option<()> {
        let mut info = mac.within(SEQUENCE)?;
        let (digest, hmac) = match info.within(SEQUENCE)?.of(OBJECT)? {
            b"\x2B\x0E\x03\x02\x1A" => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            // The SHA-2 family has one number each.
            b"\x60\x86\x48\x01\x65\x03\x04\x02\x01" => (&digest::SHA256, hmac::HMAC_SHA256),
            b"\x60\x86\x48\x01\x65\x03\x04\x02\x02" => (&digest::SHA384, hmac::HMAC_SHA384),
            b"\x60\x86\x48\x01\x65\x03\x04\x02\x03" => (&digest::SHA512, hmac::HMAC_SHA512),
            b"\x60\x86\x48\x01\x65\x03\x04\x02\x04" => (&digest::SHA224, hmac::HMAC_SHA224),
            _ => return None,
        };
        let wanted = info.of(OCTET_STRING)?;
        let salt = mac.of(OCTET_STRING)?;
        let rounds = if mac.is_empty() { 1 } else { mac.number()? };
        let key = derived(digest, FOR_MAC, self.password, salt, rounds, digest.output_len())?;
        self.wrong_password = hmac::verify(&hmac::Key::new(hmac, &key), content, wanted).is_err();
        (!self.wrong_password).then_some(())
    }

    fn bags(&mut self, bags: &[u8]) -> Option<()> {
        let mut bags = Der::new(bags).within(SEQUENCE)?;
        while !bags.is_empty() {
            let mut bag = bags.within(SEQUENCE)?;
            let kind = bag.of(OBJECT)?;
            let mut content = bag.within(AROUND_0)?;
            if kind == KEY_BAG {
                self.keys.push(content.next()?.whole.to_vec());
            } else if kind == SHROUDED_KEY_BAG {
                let mut shrouded = content.within(SEQUENCE)?;
                let scheme = shrouded.next()?.whole;
                let key = self.decrypted(scheme, shrouded.of(OCTET_STRING)?)?;
                self.keys.push(key);
            } else if kind == CERTIFICATE_BAG {
                let mut certificate = content.within(SEQUENCE)?;
                certificate.of(OBJECT).filter(|kind| *kind == X509)?;
                self.certificates.push(certificate.within(AROUND_0)?.of(OCTET_STRING)?.to_vec());
            }
            // Else a list of revoked ones, a secret, or bags in a bag: nothing that signs.
        }
        Some(())
    }

    /// Decrypts what this scheme encrypted.
    fn decrypted(&mut self, scheme: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
        let mut parameters = Der::new(scheme).within(SEQUENCE)?;
        let kind = parameters.of(OBJECT)?;
        let plain = if kind == SHA1_AND_TRIPLE_DES {
            legacy::<TdesEde3>(parameters, 24, self.password, secret)?
        } else if kind == SHA1_AND_RC2_40 {
            legacy::<Rc2>(parameters, 5, self.password, secret)?
        } else {
            let scheme = EncryptionScheme::try_from(scheme).ok()?;
            if !is_modest(&scheme.pbes2()?.kdf) {
                return None;
            }
            scheme.decrypt(self.password, secret).ok()
        };
        self.wrong_password = plain.is_none();
        plain
    }
}

/// What kind of content comes next, and the content.
fn content_info<'a>(outer: &mut Der<'a>) -> Option<(&'a [u8], Der<'a>)> {
    let mut info = outer.within(SEQUENCE)?;
    Some((info.of(OBJECT)?, info.within(AROUND_0)?))
}

/// Whether it asks for no more than a file may.
fn is_modest(kdf: &Kdf) -> bool {
    match kdf {
        Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count <= MOST_ROUNDS,
        Kdf::Scrypt(scrypt) => {
            let memory = scrypt.cost_parameter.checked_mul(128 * u64::from(scrypt.block_size));
            scrypt.parallelization <= MOST_LANES && memory.is_some_and(|memory| memory <= MOST_MEMORY)
        }
        // Whatever else there may be one day: nobody has looked at what it asks for.
        _ => false,
    }
}

/// Triple DES or RC2, with a key derived by SHA-1. The outer None: not such parameters; the inner: not such a password.
fn legacy<C: BlockCipherDecrypt + KeyInit>(
    mut parameters: Der<'_>,
    key_length: usize,
    password: &str,
    secret: &[u8],
) -> Option<Option<Vec<u8>>> {
    let mut parameters = parameters.within(SEQUENCE)?;
    let (salt, rounds) = (parameters.of(OCTET_STRING)?, parameters.number()?);
    let derived = |id, length| derived(&digest::SHA1_FOR_LEGACY_USE_ONLY, id, password, salt, rounds, length);
    let (key, start) = (derived(FOR_KEY, key_length)?, derived(FOR_START, 8)?);
    let cipher = cbc::Decryptor::<C>::new_from_slices(&key, &start).ok()?;
    Some(cipher.decrypt_padded_vec::<Pkcs7>(secret).ok())
}

/// A key of this length (RFC 7292, B.2). None: more rounds than a file may ask for.
fn derived(
    hash: &'static digest::Algorithm,
    id: u8,
    password: &str,
    salt: &[u8],
    rounds: u32,
    length: usize,
) -> Option<Vec<u8>> {
    if rounds > MOST_ROUNDS {
        return None;
    }
    let block = hash.block_len();
    // UTF-16 with a zero at its end; both repeated to whole blocks.
    let password: Vec<u8> = password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect();
    let repeated =
        |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().cycle().take(bytes.len().div_ceil(block) * block).collect() };
    let mut input = [repeated(salt), repeated(&password)].concat();
    let mut key = Vec::new();
    loop {
        let mut hashed = digest(hash, &[&vec![id; block], &input[..]].concat());
        for _ in 1..rounds {
            hashed = digest(hash, hashed.as_ref());
        }
        key.extend(hashed.as_ref());
        if key.len() >= length {
            key.truncate(length);
            return Some(key);
        }
        // Each block of the input, as a number, is increased by what was hashed and by one.
        let added: Vec<u8> = hashed.as_ref().iter().copied().cycle().take(block).collect();
        for number in input.chunks_exact_mut(block) {
            let mut carry = 1;
            for (digit, added) in number.iter_mut().zip(&added).rev() {
                carry += u16::from(*digit) + u16::from(*added);
                *digit = (carry & 0xFF) as u8;
                carry >>= 8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use p12_keystore::{
        Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, Pkcs12Archive, PrivateKey,
        PrivateKeyChain,
    };
    use proptest::prelude::*;

    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        let path = format!("{}/tests/fixtures/certificates/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).expect("a fixture")
    }

    /// A key and two certificates, as another program writes them.
    fn written(encryption: EncryptionAlgorithm, mac: MacAlgorithm, password: &str) -> Vec<u8> {
        let read = |name| super::super::certificate::pem_parts(&fixture(name)).expect("PEM");
        let (keys, mut certificates) = read("app.pem");
        certificates.extend(read("mismatch.pem").1);
        let certificates: Vec<_> = certificates.iter().map(|der| Certificate::from_der(der).expect("one")).collect();
        let key = PrivateKey::from_der(&keys[0]).expect("a key");
        let mut store = KeyStore::new();
        let chain = PrivateKeyChain::new(vec![7], key, certificates);
        store.add_entry("app", KeyStoreEntry::PrivateKeyChain(chain));
        let writer = store.writer(password).encryption_algorithm(encryption).encryption_iterations(100);
        writer.mac_algorithm(mac).mac_iterations(100).write().expect("written")
    }

    fn as_others_read(file: &[u8], password: &str) -> Parts {
        let archive = Pkcs12Archive::from_pkcs12(file, password).expect("readable");
        let keys = archive.keys.iter().map(|bag| bag.key.as_der().to_vec()).collect();
        (keys, archive.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect())
    }

    #[test]
    fn what_other_programs_write_is_read_as_they_read_it() {
        for name in ["app.pfx", "app-legacy.pfx"] {
            let file = fixture(name);
            let read = parts(&file, "fixture-password").expect("readable");
            assert_eq!((read.0.len(), read.1.len()), (1, 1));
            assert_eq!(read, as_others_read(&file, "fixture-password"), "{name}");
        }
        let macs = [
            MacAlgorithm::HmacSha1,
            MacAlgorithm::HmacSha224,
            MacAlgorithm::HmacSha256,
            MacAlgorithm::HmacSha384,
            MacAlgorithm::HmacSha512,
        ];
        for encryption in [
            EncryptionAlgorithm::PbeWithHmacSha256AndAes256,
            EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc,
            // That is what it calls RC2.
            EncryptionAlgorithm::PbeWithShaAnd40BitRc4Cbc,
        ] {
            for mac in macs {
                for password in ["", "fixture-password", "Grüße, señor", &"long ".repeat(40)] {
                    let file = written(encryption, mac, password);
                    let read = parts(&file, password).expect("readable");
                    assert_eq!((read.0.len(), read.1.len()), (1, 2));
                    assert_eq!(read, as_others_read(&file, password), "{encryption:?} {mac:?} {password}");
                    assert_eq!(parts(&file, "another"), Err(CertificateFault::Password));
                }
            }
        }
    }

    #[test]
    fn nothing_is_read_of_a_file_that_asks_for_too_many_rounds() {
        let (hash, few) = (&digest::SHA256, derived(&digest::SHA256, FOR_MAC, "", b"salt", MOST_ROUNDS + 1, 32));
        assert_eq!(few, None);
        assert!(derived(hash, FOR_MAC, "", b"salt", 2, 32).is_some());
    }

    proptest! {
        #[test]
        fn a_damaged_file_gives_no_other_key_and_never_ends_the_program(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let whole = written(EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc, MacAlgorithm::HmacSha256, "secret");
            let wanted = parts(&whole, "secret").expect("readable");
            let mut damaged = whole.clone();
            damaged[at.index(whole.len())] ^= byte;
            if let Ok(read) = parts(&damaged, "secret") {
                prop_assert_eq!(read, wanted);
            }
            prop_assert!(parts(&whole[..cut.index(whole.len())], "secret").is_err());
        }
    }
}
