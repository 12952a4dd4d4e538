//! `rbuild logout`: forgets logins.

use std::process::ExitCode;

use rbuild_registry::{AuthFile, edited, emptied, erase_login};

use crate::{
    cli::LogoutArgs,
    command::login::{damaged, key, read, write},
    failure::Failure,
    registry::own_auth_file,
    report::print,
};

/// Removes the login from the file, or from the program that keeps it; with `--all`, all of them.
///
/// # Errors
/// If there is none, or it cannot be removed.
pub fn execute(args: &LogoutArgs) -> Result<ExitCode, Failure> {
    let file = own_auth_file(args.authfile.as_deref())?;
    let text = read(&file)?;
    let parsed = AuthFile::parse(&text).map_err(|why| damaged(&file, &why))?;
    let Some(registry) = &args.registry else {
        for (host, helper) in parsed.helpers() {
            erase_login(helper, host)?;
        }
        write(&file, &emptied(&text).map_err(|why| damaged(&file, &why))?)?;
        print("Removed all logins")?;
        return Ok(ExitCode::SUCCESS);
    };
    let key = key(registry)?;
    let host = key.split('/').next().unwrap_or(key);
    let helper = parsed.helper_for(host);
    if helper.is_none() && !parsed.has(key) {
        return Err(Failure::message(format!("nobody is logged in to `{key}`")));
    }
    if let Some(helper) = helper {
        erase_login(helper, host)?;
    }
    let text = edited(&text, key, None).map_err(|why| damaged(&file, &why))?;
    write(&file, &text)?;
    print(&format!("Removed the login for {key}"))?;
    Ok(ExitCode::SUCCESS)
}
