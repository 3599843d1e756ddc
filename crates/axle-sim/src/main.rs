//! Runs the simulator: one seed with a trace of what happened, or many.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use axle_sim::{Plan, Report, run};
use clap::Parser;

/// Simulates many servers with seeded faults, and checks what must hold.
#[derive(Debug, Parser)]
struct Arguments {
    /// Runs one seed, and prints what happened.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Runs many seeds: `FIRST..END`.
    #[arg(long, value_parser = range, default_value = "0..1000")]
    seeds: Range<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout().lock();
    let good = match arguments.seed {
        Some(seed) => one(&mut out, seed),
        None => many(&mut out, arguments.seeds),
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read the output has gone.
        Err(_) => ExitCode::FAILURE,
    }
}

fn one(out: &mut impl std::io::Write, seed: u64) -> std::io::Result<bool> {
    let plan = Plan::new(seed);
    writeln!(out, "{plan:#?}")?;
    let report = run(&plan, true);
    report.trace.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    print(out, &report)?;
    Ok(report.violations.is_empty())
}

fn many(out: &mut impl std::io::Write, seeds: Range<u64>) -> std::io::Result<bool> {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let totals = Mutex::new((0usize, 0u64, 0u64));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| seeds.contains(seed)) {
                    let report = run(&Plan::new(seed), false);
                    if let Ok(mut totals) = totals.lock() {
                        totals.0 += report.answered;
                        totals.1 += report.messages;
                        totals.2 += u64::from(report.lied);
                    }
                    if !report.violations.is_empty()
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.push(report);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    failed.iter().try_for_each(|report| print(out, report))?;
    let (answered, messages, lied) = totals.into_inner().unwrap_or_default();
    let count = seeds.end.saturating_sub(seeds.start);
    writeln!(
        out,
        "{count} seeds, {} failed; {answered} events acknowledged, {messages} messages, {lied} lies",
        failed.len()
    )?;
    Ok(failed.is_empty())
}

fn print(out: &mut impl std::io::Write, report: &Report) -> std::io::Result<()> {
    let seed = report.seed;
    match report.violations.is_empty() {
        true => writeln!(out, "seed {seed}: good ({} events acknowledged)", report.answered)?,
        false => writeln!(out, "seed {seed}: failed. To see it: cargo run -p axle-sim -- --seed {seed}")?,
    }
    report.violations.iter().try_for_each(|violation| writeln!(out, "    {violation}"))?;
    out.flush()
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("give it as FIRST..END")?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|error| error.to_string());
    Ok(number(first)?..number(end)?)
}
