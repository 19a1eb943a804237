//! The secret of those who run the shop.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use crate::config::Config;

/// The token that is set, or the one in the data directory, which is made when
/// there is none yet.
pub(crate) fn find_or_make(config: &Config) -> anyhow::Result<SecretString> {
    if let Some(token) = &config.admin_token {
        return Ok(token.clone());
    }
    let path = path(&config.data_dir);
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("cannot make {}", config.data_dir.display()))?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match made {
        Ok(mut file) => {
            let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
            file.write_all(token.as_bytes())
                .and_then(|()| file.sync_all())
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(token.into())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => read(&path),
        Err(error) => Err(error).with_context(|| format!("cannot make {}", path.display())),
    }
}

/// The token that is set, or the one in the data directory.
pub(crate) fn find(config: &Config) -> anyhow::Result<SecretString> {
    match &config.admin_token {
        Some(token) => Ok(token.clone()),
        None => read(&path(&config.data_dir)).context(
            "no admin token: set TRELLIS_ADMIN_TOKEN, or TRELLIS_DATA_DIR to that of the shop",
        ),
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin-token")
}

fn read(path: &Path) -> anyhow::Result<SecretString> {
    let token =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(!token.trim().is_empty(), "{} is empty: remove it", path.display());
    Ok(token.trim().into())
}
