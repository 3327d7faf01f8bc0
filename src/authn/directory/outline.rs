//! What a directory says, without its secrets: two directories with one outline give the same answers to the same
//! callers.

use std::fmt::Write;

use super::{CertificateName, Directory};

impl Directory {
    /// Everything but the secrets and public keys, in a fixed order.
    pub fn outline(&self) -> String {
        let mut lines = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            let mut line = format!("{index} {}", member.principal);
            for attachment in &member.attachments {
                let _ = write!(line, " {}", attachment.policy);
            }
            if let Some(role) = &member.role {
                let _ = write!(line, " {} {:?}", role.max_session_seconds, role.trust);
            }
            lines.push(line);
        }
        let mut proofs: Vec<String> =
            self.access_keys.iter().map(|(id, key)| format!("{id} {} {}", key.active, key.member)).collect();
        let certificates = self.certificates.iter().map(|(name, holder)| match name {
            CertificateName::Uri(name) => format!("uri {name} {}", holder.member),
            CertificateName::Dns(name) => format!("dns {name} {}", holder.member),
            CertificateName::Spki(hash) => format!("spki {hash} {}", holder.member),
        });
        proofs.extend(certificates);
        proofs.extend(self.unix_users.iter().map(|(uid, holder)| format!("uid {uid} {}", holder.member)));
        proofs.sort();
        lines.append(&mut proofs);
        lines.join("\n")
    }
}
