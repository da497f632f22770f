//! Our service principal in a customer's tenant, as named by our own app-only token
//! ("Identity, consent and onboarding contract", 4.4).

use secrecy::ExposeSecret as _;

use super::oidc::segment;
use super::wire::identity::AppClaims;
use super::{AccessToken, Client};
use crate::model::{ClientId, ObjectId, TenantId};

/// Why an app-only token does not say who our service principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalFault {
    /// It is no JWT that can be read; tokens are opaque by contract.
    #[error("the application's token cannot be read")]
    Opaque,
    /// It has no object id: the tenant has no service principal of ours.
    #[error("the application's token names no service principal")]
    NoObjectId,
    /// It is of another tenant.
    #[error("the application's token is of another tenant")]
    Tenant,
    /// It is another application's.
    #[error("the application's token is of another application")]
    Application,
    /// It is a user's.
    #[error("the application's token is a user's")]
    User,
}

/// The service principal that a token was issued to. Used as the principal of a role assignment only, never to decide who
/// may do what: the token is not ours to validate. Pure.
fn principal(token: &str, tenant: TenantId, client_id: ClientId) -> Result<ObjectId, PrincipalFault> {
    use PrincipalFault as Fault;
    let segments: Vec<_> = token.split('.').collect();
    let [_, claims, _] = segments.as_slice() else {
        return Err(Fault::Opaque);
    };
    let claims: AppClaims = segment(claims).ok_or(Fault::Opaque)?;
    if claims.scp.is_some() {
        return Err(Fault::User);
    }
    if claims.tid.as_deref().and_then(|tid| tid.parse().ok()) != Some(tenant) {
        return Err(Fault::Tenant);
    }
    let application = claims.appid.or(claims.azp);
    if application.as_deref().and_then(|id| id.parse().ok()) != Some(client_id) {
        return Err(Fault::Application);
    }
    claims.oid.as_deref().and_then(|oid| oid.parse().ok()).ok_or(Fault::NoObjectId)
}

impl Client {
    /// The service principal that our application's token for a tenant was issued to.
    ///
    /// # Errors
    /// [`PrincipalFault`].
    pub(crate) fn principal_of(&self, token: &AccessToken, tenant: TenantId) -> Result<ObjectId, PrincipalFault> {
        principal(token.secret.expose_secret(), tenant, self.identity.client_id)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    const TENANT: &str = "00000000-0000-4000-8000-000000000001";
    const CLIENT: &str = "00000000-0000-4000-8000-000000000002";
    const OBJECT: &str = "00000000-0000-4000-8000-000000000003";

    fn read(change: impl FnOnce(&mut Value)) -> Result<ObjectId, PrincipalFault> {
        let mut claims = json!({ "oid": OBJECT, "tid": TENANT, "appid": CLIENT, "idtyp": "app", "ver": "1.0" });
        change(&mut claims);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.sig", part(&json!({})), part(&claims));
        principal(&token, TENANT.parse().expect("a GUID"), CLIENT.parse().expect("a GUID"))
    }

    #[test]
    fn the_object_id_is_read_from_either_version_of_the_token() {
        let object: ObjectId = OBJECT.parse().expect("a GUID");
        assert_eq!(read(|_| ()), Ok(object));
        let v2 = read(|claims| {
            claims["azp"] = claims["appid"].take();
            claims.as_object_mut().expect("an object").remove("appid");
        });
        assert_eq!(v2, Ok(object));
    }

    #[test]
    fn a_token_of_anybody_else_names_no_principal() {
        assert_eq!(read(|c| c["tid"] = OBJECT.into()), Err(PrincipalFault::Tenant));
        assert_eq!(read(|c| c["appid"] = OBJECT.into()), Err(PrincipalFault::Application));
        assert_eq!(read(|c| c["scp"] = "user_impersonation".into()), Err(PrincipalFault::User));
        assert_eq!(read(|c| c["oid"] = Value::Null), Err(PrincipalFault::NoObjectId));
        assert_eq!(read(|c| c["oid"] = "me".into()), Err(PrincipalFault::NoObjectId));
        let opaque = principal("opaque", TENANT.parse().expect("a GUID"), CLIENT.parse().expect("a GUID"));
        assert_eq!(opaque, Err(PrincipalFault::Opaque));
    }
}
