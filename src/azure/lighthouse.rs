//! Azure Lighthouse: what customers delegated to the partner's own tenant
//! ("Identity, consent and onboarding contract", section 8).

use super::{AccessToken, Client, Error};
use crate::model::SubscriptionId;

const API_VERSION: &str = "2022-10-01";

impl Client {
    /// The full id of the registration assignment that delegates a subscription, where our token sees it.
    ///
    /// # Errors
    /// Any of [`Client::arm_list`].
    pub(crate) async fn registration_assignment(
        &self,
        subscription: SubscriptionId,
        token: &AccessToken,
    ) -> Result<Option<String>, Error> {
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.ManagedServices/registrationAssignments?api-version={API_VERSION}"
        );
        let listing = self.arm_list(&path, token).await?;
        let id = listing.rows.iter().find_map(|row| row.get("id")?.as_str());
        Ok(id.filter(|id| id.len() <= 500).map(str::to_owned))
    }
}
