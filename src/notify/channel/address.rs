//! Which addresses notices may go to: pure rules, asked anew at every attempt ("Graph, Azure Monitor, notification and
//! portal-API contract", section 7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::settings::Reach;

/// The longest address that is taken.
const MAX_URL: usize = 2_048;
/// Ports of the public internet that are asked.
const PORTS: [u16; 2] = [443, 8443];

/// What kind of address a range holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    /// This machine.
    Loopback,
    /// A private network.
    Private,
    /// Never: the platform, link-local, reserved, or a way around these rules.
    Never,
}

/// Ranges that are not the public internet, from OWASP's list and IANA's registries of special purposes.
const V4: &[(Ipv4Addr, u32, Range)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, Range::Never),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Range::Private),
    // Of carriers, and of clouds for their own services.
    (Ipv4Addr::new(100, 64, 0, 0), 10, Range::Never),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Range::Loopback),
    // Link-local: 169.254.169.254 gives out tokens of the machine.
    (Ipv4Addr::new(169, 254, 0, 0), 16, Range::Never),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Range::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Range::Never),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Range::Never),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Range::Never),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Range::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Range::Never),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Range::Never),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Range::Never),
    // Azure's own services for the machine, in the public space.
    (Ipv4Addr::new(168, 63, 129, 16), 32, Range::Never),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Range::Never),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Range::Never),
];

const V6: &[(Ipv6Addr, u32, Range)] = &[
    (Ipv6Addr::LOCALHOST, 128, Range::Loopback),
    // Unique local addresses.
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Range::Private),
    // Of the global addresses: Teredo and other protocols, documentation, 6to4. The last two lead to IPv4.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Range::Never),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Range::Never),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, Range::Never),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Range::Never),
];

/// The global addresses, 2000::/3. Whatever is neither here nor named above is refused: link-local, NAT64, multicast, and what
/// nobody has thought of yet.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// True when notices may go to an address.
pub fn allowed(address: IpAddr, reach: Reach) -> bool {
    match range_of(address) {
        None => true,
        Some(Range::Loopback) => reach != Reach::Public,
        Some(Range::Private) => reach == Reach::Private,
        Some(Range::Never) => false,
    }
}

/// None: the public internet.
fn range_of(address: IpAddr) -> Option<Range> {
    match address {
        IpAddr::V4(v4) => range_of_v4(v4),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            // ::ffff:a.b.c.d is a.b.c.d.
            Some(v4) => range_of_v4(v4),
            None => {
                let inside =
                    |net: Ipv6Addr, bits: u32| u128::from(v6) >> (128 - bits) == u128::from(net) >> (128 - bits);
                let named = V6.iter().find(|(net, bits, _)| inside(*net, *bits)).map(|(_, _, range)| *range);
                named.or_else(|| (!inside(GLOBAL_V6.0, GLOBAL_V6.1)).then_some(Range::Never))
            }
        },
    }
}

fn range_of_v4(v4: Ipv4Addr) -> Option<Range> {
    let inside = |net: Ipv4Addr, bits: u32| u32::from(v4) >> (32 - bits) == u32::from(net) >> (32 - bits);
    V4.iter().find(|(net, bits, _)| inside(*net, *bits)).map(|(_, _, range)| *range)
}

/// An address that notices may be sent to, parsed as browsers do it, so that `0x7f.1` is 127.0.0.1. The names in it are looked up
/// and checked when something is sent.
///
/// # Errors
/// What is wrong with it, without the address: it may be a secret.
pub fn target(text: &str, reach: Reach) -> Result<Url, &'static str> {
    if text.len() > MAX_URL {
        return Err("is longer than 2,048 characters");
    }
    let mut url = Url::parse(text.trim()).map_err(|_| "is no address such as https://example.com/hook")?;
    url.set_fragment(None);
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a name or password before the host: use a header");
    }
    let local = match url.host() {
        None => return Err("has no host"),
        Some(Host::Domain(name)) => named(name, reach)?,
        Some(Host::Ipv4(v4)) => literal(v4.into(), reach)?,
        Some(Host::Ipv6(v6)) => literal(v6.into(), reach)?,
    };
    match url.scheme() {
        "https" => {}
        "http" if local => {}
        "http" => return Err("is not encrypted: it must begin with https://"),
        _ => return Err("must begin with https://"),
    }
    let port = url.port_or_known_default().unwrap_or_default();
    if reach == Reach::Public && !PORTS.contains(&port) {
        return Err("has another port than 443 or 8443");
    }
    Ok(url)
}

/// True: it is this machine.
fn literal(address: IpAddr, reach: Reach) -> Result<bool, &'static str> {
    if !allowed(address, reach) {
        return Err("is not an address of the public internet");
    }
    Ok(range_of(address) == Some(Range::Loopback))
}

/// Whether a name may be looked up at all. True: it is this machine.
pub(super) fn named(name: &str, reach: Reach) -> Result<bool, &'static str> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let local = name == "localhost" || name.ends_with(".localhost");
    let inside = [".local", ".internal", ".lan", ".home.arpa", ".intranet"].iter().any(|end| name.ends_with(end));
    match reach {
        Reach::Public if local || inside || !name.contains('.') => Err("is not a name of the public internet"),
        Reach::Loopback if !local && (inside || !name.contains('.')) => Err("is not a name of the public internet"),
        // The metadata of other clouds has names of its own; its address is refused anyway.
        _ if name.ends_with(".internal") && name.starts_with("metadata.") => Err("is the platform's own"),
        _ => Ok(local),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Reach; 3] = [Reach::Public, Reach::Loopback, Reach::Private];

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_platform_is_never_reached_whatever_is_set() {
        for address in [
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.0.192",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "::",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:a9fe:a9fe::1",
            "2001:0:5ef5:79fd::1",
            "2001:db8::1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "100::1",
            "5f00::1",
        ] {
            for reach in ALL {
                assert!(!allowed(ip(address), reach), "{address} with {reach:?}");
            }
        }
    }

    #[test]
    fn private_networks_and_this_machine_are_reached_where_that_is_set() {
        for (address, reaches) in [
            ("127.0.0.1", &[Reach::Loopback, Reach::Private][..]),
            ("::1", &[Reach::Loopback, Reach::Private]),
            ("::ffff:127.0.0.1", &[Reach::Loopback, Reach::Private]),
            ("10.1.2.3", &[Reach::Private]),
            ("172.31.255.255", &[Reach::Private]),
            ("192.168.0.1", &[Reach::Private]),
            ("::ffff:10.0.0.1", &[Reach::Private]),
            ("fd00::1", &[Reach::Private]),
            ("20.50.2.3", &ALL),
            ("172.32.0.1", &ALL),
            ("168.63.129.17", &ALL),
            ("2603:1020:201:10::10f", &ALL),
        ] {
            for reach in ALL {
                assert_eq!(allowed(ip(address), reach), reaches.contains(&reach), "{address} with {reach:?}");
            }
        }
    }

    #[test]
    fn an_address_is_https_to_a_name_of_the_public_internet() {
        for good in [
            "https://hooks.example.com/a?b=c",
            "https://example.com:8443/",
            "https://20.50.2.3/x",
            "https://bücher.example/",
        ] {
            assert!(target(good, Reach::Public).is_ok(), "{good}");
        }
        for bad in [
            "http://example.com/",
            "ftp://example.com/",
            "javascript:alert(1)",
            "https://",
            "hooks",
            "//example.com/",
            "https://user:pass@example.com/",
            "https://example.com:22/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://intranet/",
            "https://x.local/",
            "https://metadata.google.internal/",
            "https://127.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:7f00:1]/",
            "https://169.254.169.254/metadata",
            "https://①②⑦.0.0.1/",
            "https://168.63.129.16/",
            "https://[fd00::1]/",
            "https://10.0.0.1/",
            "https://x.localhost/",
            "file:///etc/passwd",
        ] {
            assert!(target(bad, Reach::Public).is_err(), "{bad}");
        }
        assert!(target(&format!("https://example.com/{}", "a".repeat(2_048)), Reach::Public).is_err());
        assert!(target("http://127.0.0.1:8080/", Reach::Loopback).is_ok());
        assert!(target("http://10.0.0.1/", Reach::Private).is_err(), "without TLS only to this machine");
        assert!(target("https://relay.lan/", Reach::Private).is_ok());
        assert!(target("https://metadata.google.internal/", Reach::Private).is_err());
    }

    proptest! {
        /// However an IPv4 address is dressed up as IPv6, it is not reached where it is not reached plainly.
        #[test]
        fn a_disguise_opens_no_door(bits: u32, reach in prop::sample::select(ALL.to_vec())) {
            let plain = Ipv4Addr::from(bits);
            let [a, b, c, d] = plain.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let open = allowed(plain.into(), reach);
            prop_assert_eq!(allowed(plain.to_ipv6_mapped().into(), reach), open);
            for disguise in [
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !high, !low),
                Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5efe, high, low),
                // Compatible: long out of use, but still parsed.
                Ipv6Addr::new(0, 0, 0, 0, 0, 1, high, low),
            ] {
                prop_assert!(!allowed(disguise.into(), reach), "{disguise}");
            }
            // The standard library's own words for the same ranges.
            if plain.is_link_local() || plain.is_multicast() || plain.is_broadcast() || plain.is_documentation() || plain.is_unspecified() {
                prop_assert!(!open);
            }
            prop_assert!(!plain.is_loopback() || open == (reach != Reach::Public));
            prop_assert!(!plain.is_private() || open == (reach == Reach::Private));
        }

        /// What is open to fewer is open to more.
        #[test]
        fn more_reach_never_closes_a_door(bits: u128) {
            let address = IpAddr::from(Ipv6Addr::from(bits));
            prop_assert!(!allowed(address, Reach::Public) || allowed(address, Reach::Loopback));
            prop_assert!(!allowed(address, Reach::Loopback) || allowed(address, Reach::Private));
            let first = bits >> 125;
            prop_assert!(!allowed(address, Reach::Public) || first == 1 || address.to_canonical().is_ipv4());
        }

        /// A host that is taken as it is written is one whose address is taken.
        #[test]
        fn a_written_address_is_taken_only_when_it_may_be_reached(bits: u32, reach in prop::sample::select(ALL.to_vec())) {
            let plain = Ipv4Addr::from(bits);
            for text in [format!("https://{plain}/"), format!("https://{bits}/"), format!("https://{bits:#x}/"), format!("https://[::ffff:{plain}]/")] {
                prop_assert_eq!(target(&text, reach).is_ok(), allowed(plain.into(), reach), "{}", text);
            }
        }
    }
}
