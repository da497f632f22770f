//! Compares a registration with what it should be. Pure.

use chrono::TimeDelta;
use serde_json::Value;

use super::documents::{AUDIENCE, Federation, MANAGER, USER_IMPERSONATION, has_key};
use crate::model::Timestamp;
use crate::settings::Credential;

/// How long before its end a credential is worth a warning.
const WARN_AHEAD: TimeDelta = TimeDelta::days(30);

/// One thing that was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub mend: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, or may work; worth a look.
    Doubtful,
    /// Must be mended.
    Bad,
}

/// What is known for the comparison.
#[derive(Debug)]
pub struct Known<'a> {
    /// The application as Graph shows it, with its public keys.
    pub registered: &'a Value,
    /// Its federated credentials.
    pub federated: &'a [Value],
    /// Whether its service principal in the partner's tenant is enabled. None: there is none.
    pub principal: Option<bool>,
    /// The redirect URIs that the product needs.
    pub redirect_uris: &'a [String],
    /// Our credential, where it could be read.
    pub credential: Option<&'a Credential>,
    /// What a managed identity must be trusted as; its subject is not known to the settings.
    pub federation: &'a Federation,
}

fn good(what: &'static str, found: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Good, found: found.into(), mend: None }
}

fn wrong(what: &'static str, verdict: Verdict, found: impl Into<String>, mend: &str) -> Finding {
    Finding { what, verdict, found: found.into(), mend: Some(mend.to_owned()) }
}

const REPAIR: &str = "run `register create --adopt`";

/// Everything that should be so, and how it is.
pub fn compare(known: &Known<'_>, now: Timestamp) -> Vec<Finding> {
    let mut findings =
        vec![audience(known), redirects(known), permission(known), implicit(known), version(known), lock(known)];
    findings.push(match known.principal {
        Some(true) => good("service principal", "present and enabled in the partner's tenant"),
        Some(false) => wrong(
            "service principal",
            Verdict::Bad,
            "disabled in the partner's tenant",
            "enable the enterprise application for users to sign in",
        ),
        None => wrong("service principal", Verdict::Bad, "none in the partner's tenant", REPAIR),
    });
    findings.push(publisher(known));
    findings.extend(ours(known));
    findings.extend(ends(known, now));
    findings
}

fn audience(known: &Known<'_>) -> Finding {
    match known.registered["signInAudience"].as_str() {
        Some(AUDIENCE) => good("audience", AUDIENCE),
        other => wrong("audience", Verdict::Bad, other.unwrap_or("none"), REPAIR),
    }
}

fn redirects(known: &Known<'_>) -> Finding {
    let registered = known.registered["web"]["redirectUris"].as_array().map(Vec::as_slice).unwrap_or_default();
    let missing: Vec<_> =
        known.redirect_uris.iter().filter(|uri| !registered.iter().any(|one| one == uri.as_str())).collect();
    match missing.as_slice() {
        [] => good("redirect URIs", known.redirect_uris.join(", ")),
        missing => {
            let missing: Vec<_> = missing.iter().map(|uri| uri.as_str()).collect();
            wrong("redirect URIs", Verdict::Bad, format!("not registered: {}", missing.join(", ")), REPAIR)
        }
    }
}

fn permission(known: &Known<'_>) -> Finding {
    let resources = known.registered["requiredResourceAccess"].as_array().map(Vec::as_slice).unwrap_or_default();
    let accesses = resources.iter().flat_map(|resource| {
        let access = resource["resourceAccess"].as_array().map(Vec::as_slice).unwrap_or_default();
        access.iter().map(|one| (resource["resourceAppId"].as_str(), one["id"].as_str()))
    });
    let wanted = (Some(MANAGER), Some(USER_IMPERSONATION));
    let (ours, others): (Vec<_>, Vec<_>) = accesses.partition(|one| *one == wanted);
    match (ours.is_empty(), others.len()) {
        (true, _) => {
            wrong("permission", Verdict::Bad, "Resource Manager's user_impersonation is not asked for", REPAIR)
        }
        (false, 0) => good("permission", "Resource Manager's user_impersonation, and nothing else"),
        (false, others) => wrong(
            "permission",
            Verdict::Doubtful,
            format!("{others} permissions more than the product needs"),
            "remove them: customers are asked to consent to each",
        ),
    }
}

fn implicit(known: &Known<'_>) -> Finding {
    let settings = &known.registered["web"]["implicitGrantSettings"];
    if settings["enableIdTokenIssuance"] == true || settings["enableAccessTokenIssuance"] == true {
        return wrong("implicit grant", Verdict::Doubtful, "switched on, and never used", REPAIR);
    }
    good("implicit grant", "off")
}

fn version(known: &Known<'_>) -> Finding {
    match known.registered["api"]["requestedAccessTokenVersion"].as_u64() {
        Some(2) => good("token version", "2"),
        _ => wrong("token version", Verdict::Doubtful, "not 2", REPAIR),
    }
}

fn lock(known: &Known<'_>) -> Finding {
    let lock = &known.registered["servicePrincipalLockConfiguration"];
    if lock["isEnabled"] == true && lock["allProperties"] == true {
        return good("instance lock", "nobody adds credentials to our service principal in his tenant");
    }
    let found = "off: a customer's administrator could add a credential of his own to our service principal";
    wrong("instance lock", Verdict::Bad, found, REPAIR)
}

fn publisher(known: &Known<'_>) -> Finding {
    match known.registered["verifiedPublisher"]["displayName"].as_str() {
        Some(name) => good("publisher", format!("verified: {name}")),
        None => wrong(
            "publisher",
            Verdict::Doubtful,
            "not verified: many tenants let users consent to verified publishers only",
            "verify it in Partner Center (public cloud only); administrators can consent all the same",
        ),
    }
}

/// Whether the registration knows the credential that we use.
fn ours(known: &Known<'_>) -> Option<Finding> {
    const WHAT: &str = "our credential";
    let passwords = known.registered["passwordCredentials"].as_array().map_or(0, Vec::len);
    Some(match known.credential? {
        Credential::ClientSecret { .. } if passwords == 0 => {
            wrong(WHAT, Verdict::Bad, "no client secret is registered", "run `register add-secret`")
        }
        // Graph does not say which secret it is; only the first three characters of each.
        Credential::ClientSecret { .. } => good(WHAT, format!("client secret; {passwords} registered")),
        Credential::Certificate(certificate) => {
            let thumbprint = certificate.thumbprint();
            if has_key(known.registered, certificate.der(), &thumbprint) {
                good(WHAT, format!("certificate {thumbprint} is registered"))
            } else {
                let found = format!("certificate {thumbprint} is not registered");
                wrong(WHAT, Verdict::Bad, found, "run `register add-certificate FILE`")
            }
        }
        Credential::NamedKey(key) => {
            let thumbprint = key.thumbprint();
            let rows = known.registered["keyCredentials"].as_array();
            // Graph names certificates by SHA-1 only.
            if rows.into_iter().flatten().any(|row| row["customKeyIdentifier"] == thumbprint) {
                good(WHAT, format!("certificate {thumbprint} is registered"))
            } else {
                let found = format!("no certificate is registered as {thumbprint}");
                wrong(WHAT, Verdict::Doubtful, found, "run `register add-certificate FILE`")
            }
        }
        Credential::ManagedIdentity { .. } => {
            let Federation { issuer, audience, .. } = known.federation;
            let fits = |row: &&Value| row["issuer"] == *issuer && row["audiences"][0] == *audience;
            match known.federated.iter().find(fits) {
                Some(row) => {
                    let subject = row["subject"].as_str().unwrap_or_default();
                    good(WHAT, format!("managed identity; trusted is the principal {subject}"))
                }
                None => {
                    let found = format!("no federated credential with issuer {issuer} and audience {audience}");
                    wrong(WHAT, Verdict::Bad, found, "run `register add-federated --managed-identity PRINCIPAL_ID`")
                }
            }
        }
        Credential::TokenFile(_) if known.federated.is_empty() => {
            wrong(WHAT, Verdict::Bad, "no federated credential is registered", "run `register add-federated`")
        }
        Credential::TokenFile(_) => {
            good(WHAT, format!("federated token; {} federated credentials", known.federated.len()))
        }
    })
}

/// The ends of all secrets and certificates that are registered.
fn ends(known: &Known<'_>, now: Timestamp) -> Vec<Finding> {
    let kinds = [("passwordCredentials", "client secret"), ("keyCredentials", "certificate")];
    let mut findings = Vec::new();
    for (member, kind) in kinds {
        let all = known.registered[member].as_array().map(Vec::as_slice).unwrap_or_default();
        for one in all {
            let name = one["hint"].as_str().or(one["customKeyIdentifier"].as_str()).unwrap_or("?");
            let Some(end) = one["endDateTime"].as_str().and_then(|end| end.parse::<Timestamp>().ok()) else {
                continue;
            };
            let found = format!("{kind} {name} ends {}", end.format("%Y-%m-%d"));
            findings.push(match end - now {
                left if left <= TimeDelta::zero() => {
                    wrong("credential's end", Verdict::Doubtful, found, "it has ended: remove it")
                }
                left if left <= WARN_AHEAD => wrong(
                    "credential's end",
                    Verdict::Doubtful,
                    found,
                    "make the next one now: `register add-secret`, `register add-certificate`",
                ),
                _ => good("credential's end", found),
            });
        }
    }
    findings
}
