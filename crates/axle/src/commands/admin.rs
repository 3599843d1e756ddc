//! `axle admin`.

use super::Outcome;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> Outcome {
    Err("being written".into())
}
