//! The administrator's own tokens: from `az`, where he is signed in, or from standard input.

use anyhow::{Context as _, bail};
use health_monitor::model::TenantId;
use health_monitor::settings::Unregistered;
use secrecy::SecretString;

/// Where tokens come from, and what came from there.
#[derive(Debug)]
pub struct Tokens {
    from_stdin: bool,
    given: Option<SecretString>,
    graph: Option<(SecretString, Option<TenantId>)>,
}

impl Tokens {
    pub fn new(from_stdin: bool) -> Self {
        Self { from_stdin, given: None, graph: None }
    }

    pub fn are_from_stdin(&self) -> bool {
        self.from_stdin
    }

    /// A token for Microsoft Graph.
    pub async fn graph(&mut self, settings: &Unregistered) -> anyhow::Result<SecretString> {
        if self.from_stdin {
            return self.stdin();
        }
        if self.graph.is_none() {
            self.graph = Some(from_az(&settings.cloud.graph_audience(), settings.tenant_id).await?);
        }
        self.graph.as_ref().map(|(token, _)| token.clone()).context("a token")
    }

    /// A token for Resource Manager.
    pub async fn manager(&mut self, settings: &Unregistered) -> anyhow::Result<SecretString> {
        if self.from_stdin {
            return self.stdin();
        }
        Ok(from_az(settings.cloud.resource_manager_audience, settings.tenant_id).await?.0)
    }

    /// The tenant that `az` is signed in to.
    pub async fn tenant(&mut self, settings: &Unregistered) -> anyhow::Result<Option<TenantId>> {
        if self.from_stdin {
            return Ok(None);
        }
        self.graph(settings).await?;
        Ok(self.graph.as_ref().and_then(|(_, tenant)| *tenant))
    }

    fn stdin(&mut self) -> anyhow::Result<SecretString> {
        if self.given.is_none() {
            let text = std::io::read_to_string(std::io::stdin()).context("standard input")?;
            let token = text.trim();
            if token.is_empty() || token.contains(char::is_whitespace) {
                bail!("no access token on standard input");
            }
            self.given = Some(token.into());
        }
        self.given.clone().context("a token")
    }
}

async fn from_az(resource: &str, tenant: Option<TenantId>) -> anyhow::Result<(SecretString, Option<TenantId>)> {
    let mut az = tokio::process::Command::new("az");
    az.args(["account", "get-access-token", "--resource", resource, "--output", "json"]);
    if let Some(tenant) = tenant {
        az.args(["--tenant", &tenant.to_string()]);
    }
    let answer = az
        .output()
        .await
        .context("cannot run az: install the Azure CLI and sign in with `az login`, or use --access-token-stdin")?;
    if !answer.status.success() {
        bail!("az gave no token: {}", String::from_utf8_lossy(&answer.stderr).trim());
    }
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).ok().context("az printed no JSON")?;
    let token =
        answer["accessToken"].as_str().filter(|token| !token.is_empty()).context("az printed no accessToken")?;
    Ok((token.into(), answer["tenant"].as_str().and_then(|tenant| tenant.parse().ok())))
}
