//! Access keys that are given: in the settings, which only name the places of the secrets, and in the environment.
//!
//! Must never put a value into an error; names of files and variables only.

use secrecy::SecretString;

use super::{Credential, Surroundings};
use crate::settings::SecretPlace;
use crate::store::read_private;

const ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

/// The access key in the settings.
///
/// # Errors
/// A fragment: a secret is not at its place.
pub fn of_settings(
    id: &str,
    secret: &SecretPlace,
    token: Option<&SecretPlace>,
    surroundings: &Surroundings<'_>,
) -> Result<Credential, String> {
    let secret = secret_at(secret, surroundings)?;
    let token = token.map(|place| secret_at(place, surroundings)).transpose()?;
    Credential::new(id.to_owned(), secret, token, None)
        .map_err(|why| format!("{why} (access key `{id}` of the settings)"))
}

fn secret_at(place: &SecretPlace, surroundings: &Surroundings<'_>) -> Result<SecretString, String> {
    match place {
        SecretPlace::File(path) => {
            let text = read_private(path).map_err(|why| format!("{} {why}", path.display()))?;
            Ok(SecretString::from(text.as_str()))
        }
        SecretPlace::Environment(name) => required(name, surroundings).map(SecretString::from),
    }
}

/// The access key in the environment, as the SDKs read it.
///
/// # Errors
/// A fragment: a variable is not set.
pub fn of_environment(surroundings: &Surroundings<'_>) -> Result<Credential, String> {
    let id = required(ID, surroundings)?;
    let secret = required(SECRET, surroundings)?;
    let token = surroundings.variable(TOKEN).map(SecretString::from);
    Credential::new(id, secret.into(), token, None)
        .map_err(|why| format!("{why}: see the variables {ID}, {SECRET} and {TOKEN}"))
}

fn required(name: &str, surroundings: &Surroundings<'_>) -> Result<String, String> {
    surroundings.variable(name).ok_or_else(|| format!("the variable {name} is not set"))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make the files that are read")]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::super::fake::{Env, parts};
    use super::super::fetch;
    use super::*;
    use crate::settings::CredentialSource;

    #[test]
    fn the_environment_gives_a_key_and_perhaps_a_token() {
        let source = CredentialSource::Environment;
        for (variables, expected) in [
            (&[(ID, "I"), (SECRET, "S")][..], Ok(("I", "S", None))),
            (&[(ID, "I"), (SECRET, "S"), (TOKEN, "T")], Ok(("I", "S", Some("T")))),
            (&[(ID, "I"), (SECRET, "S"), (TOKEN, "")], Ok(("I", "S", None))),
            (&[(SECRET, "S")], Err("ALIBABA_CLOUD_ACCESS_KEY_ID is not set")),
            (&[(ID, ""), (SECRET, "S")], Err("ALIBABA_CLOUD_ACCESS_KEY_ID is not set")),
            (&[(ID, "I")], Err("ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set")),
            (&[(ID, "I\n"), (SECRET, "hush")], Err("the access key id holds a character")),
            (&[(ID, "I"), (SECRET, "hush hush")], Err("the access key secret holds a character")),
            (&[(ID, "I"), (SECRET, "hush"), (TOKEN, "hush\n")], Err("the security token holds a character")),
        ] {
            let env = Env::of(variables);
            match (env.within(|surroundings| fetch(&source, surroundings, Env::NOW)), expected) {
                (Ok(found), Ok((id, secret, token))) => assert_eq!(parts(&found), (id, secret, token, None)),
                (Err(why), Err(expected)) => assert!(why.contains(expected) && !why.contains("hush"), "{why}"),
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
        }
    }

    #[test]
    fn settings_name_the_places_of_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            SecretPlace::File(path)
        };
        let variable = |name: &str| SecretPlace::Environment(name.to_owned());
        for (secret, token, expected) in [
            (file("a", "S\n", 0o600), None, Ok(("S", None))),
            (variable("MINE"), Some(file("b", "T", 0o400)), Ok(("s", Some("T")))),
            (file("c", "hush", 0o644), None, Err("c is open to others")),
            (file("d", "", 0o600), None, Err("d is empty")),
            (SecretPlace::File(folder.path().join("none")), None, Err("none is not there")),
            (variable("MINE"), Some(variable("OTHER")), Err("the variable OTHER is not set")),
        ] {
            let source = CredentialSource::AccessKey { id: "I".into(), secret, security_token: token };
            let env = Env::of(&[("MINE", "s")]);
            match (env.within(|surroundings| fetch(&source, surroundings, Env::NOW)), expected) {
                (Ok(found), Ok((secret, token))) => assert_eq!(parts(&found), ("I", secret, token, None)),
                (Err(why), Err(expected)) => assert!(why.contains(expected) && !why.contains("hush"), "{why}"),
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let env = Env::of(&[(ID, "I"), (SECRET, "hush"), (TOKEN, "hush")]);
        let found = env.within(|surroundings| fetch(&CredentialSource::Environment, surroundings, Env::NOW));
        assert!(!format!("{found:?}").contains("hush"));
    }
}
