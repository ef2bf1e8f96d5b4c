//! The key that disks are signed with for Secure Boot, from the files that the command line names.

use std::fs;
use std::path::Path;

use formats::pe::Signer;

use crate::cli::SecureBoot;
use crate::exit::Exit;
use crate::failure::Failure;

/// Reads key and certificate; `None` where none is named.
///
/// # Errors
/// When one cannot be read, or they do not belong together.
pub fn signer(args: &SecureBoot) -> Result<Option<Signer>, Failure> {
    let (Some(key), Some(certificate)) = (&args.secure_boot_key, &args.secure_boot_cert) else { return Ok(None) };
    let signer = Signer::new(&read(key)?, &read(certificate)?).map_err(|error| {
        let doing = format!("sign with {} and {}", key.display(), certificate.display());
        let failure = Failure::doing(Exit::Usage, doing, error);
        failure
            .help("openssl req -new -x509 -newkey rsa:2048 -nodes -subj /CN=NAME/ -keyout KEY -out CERT makes a pair")
    })?;
    Ok(Some(signer))
}

fn read(path: &Path) -> Result<String, Failure> {
    let doing = || format!("read {}", path.display());
    fs::read_to_string(path).map_err(|error| Failure::doing(Exit::Usage, doing(), error))
}
