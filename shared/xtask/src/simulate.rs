//! `cargo xtask simulate`: runs the simulation (`shared/simulation`) by hand, with more seeds than a test run.

use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};

/// The test that reads its seeds from the environment.
const TEST: &str = "invariants_hold_for_requested_seeds";

#[derive(clap::Args)]
pub struct Options {
    /// How many seeds to try.
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Processes at the same time, each with a part of the seeds.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Replay this seed and print its steps. RUST_LOG adds the logs of the program.
    #[arg(long, conflicts_with_all = ["seeds", "from", "jobs"])]
    replay: Option<u64>,
    /// Use the build of the tests, which starts sooner and is slower.
    #[arg(long)]
    dev: bool,
}

/// Builds the simulation and runs it. Fails if a seed fails.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    ensure!(options.jobs > 0, "--jobs must be at least 1");
    let build = test(options).arg("--no-run").status().context("cargo test")?;
    ensure!(build.success(), "the build failed");
    if let Some(seed) = options.replay {
        let replay = run(options).env("SIMULATION_SEED", seed.to_string()).status()?;
        return Ok(code(replay.success()));
    }
    let share = options.seeds.div_ceil(options.jobs);
    let mut children = Vec::new();
    for job in 0..options.jobs {
        let first = job * share;
        let count = options.seeds.saturating_sub(first).min(share);
        let child = run(options)
            .env("SIMULATION_FROM", (options.from + first).to_string())
            .env("SIMULATION_SEEDS", count.to_string())
            .spawn()?;
        children.push(child);
    }
    let mut is_good = true;
    for mut child in children {
        is_good &= child.wait()?.success();
    }
    Ok(code(is_good))
}

fn test(options: &Options) -> Command {
    let mut command = Command::new("cargo");
    command.args(["test", "--locked", "-p", "butt-dial-simulation", "--lib"]);
    if !options.dev {
        command.arg("--release");
    }
    command
}

fn run(options: &Options) -> Command {
    let mut command = test(options);
    command.args(["--quiet", "--", TEST, "--nocapture"]);
    command
}

fn code(is_good: bool) -> ExitCode {
    match is_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
