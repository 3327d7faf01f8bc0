//! The operator's choices that a decision depends on, out of the settings.

use std::sync::Arc;

use crate::authz::{Behind, Elsewhere, Rules, Signer, With};
use crate::settings::{Mode, PolicyOperations, Settings, SignAs, Upstream};

/// What judging has to know of the settings.
pub fn rules(settings: &Settings) -> Rules {
    Rules {
        region: settings.kms.region.clone(),
        identity: settings.signatures.rules.clone(),
        source_vpc: settings.network.source_vpc.clone(),
        trusted_proxies: settings.network.trusted_proxies.clone(),
        account_principal: settings.authorization.account_principal,
        without_policy: settings.policies.without_policy,
        behind: settings.upstream.as_ref().map_or(Behind::Embedded, behind),
        explain_denials: settings.authorization.explain_denials,
        no_permission_status: settings.authorization.no_permission_status,
    }
}

/// What judging has to know of a KMS elsewhere.
fn behind(upstream: &Upstream) -> Behind {
    let credentials = &upstream.credentials;
    let signer = match upstream.mode {
        Mode::PassThrough => Signer::Client,
        Mode::ReSign(sign_as) => Signer::Us {
            with: match sign_as {
                SignAs::Caller => With::CallersKey,
                SignAs::Keyward => With::OwnKey(credentials.own.as_ref().map(|(account, _)| account.clone())),
            },
            callers: credentials.callers.iter().map(|(arn, account, _)| (arn.clone(), account.clone())).collect(),
        },
    };
    let own = upstream.endpoint.authority();
    let names = std::iter::once(own).chain(upstream.also_named.iter().cloned()).collect();
    let serves_policies = upstream.policy_operations == PolicyOperations::Served;
    let mirrors_policies = upstream.policy_operations == PolicyOperations::Mirrored;
    let unknown_operations = upstream.unknown_operations.clone();
    Behind::Elsewhere(Arc::new(Elsewhere { names, signer, serves_policies, mirrors_policies, unknown_operations }))
}
