//! x
#[derive(clap::Args)]
pub struct Args {}
pub fn run(_: &Args) -> Result<(), crate::error::Error> {
    Ok(())
}
