//! Runs the simulator: one seed with a trace of what happened, or many.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use axle_sim::coverage::Coverage;
use axle_sim::{Defect, Lie, LieOutcome, Plan, Races, Report, run};
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
    /// Has one encrypted room, with devices, in each run.
    #[arg(long)]
    encrypted: bool,
    /// Lets the hub of the first room tell this lie, whatever the seed says.
    #[arg(long, value_parser = lie, conflicts_with = "encrypted")]
    lie: Option<Lie>,
    /// Plants this defect in every server: runs are meant to fail.
    #[arg(long, value_parser = defect)]
    defect: Option<Defect>,
    /// Prints how often each situation came up.
    #[arg(long)]
    coverage: bool,
}

/// What many runs came to.
#[derive(Default)]
struct Totals {
    failed: Vec<Report>,
    answered: usize,
    messages: u64,
    lies: u64,
    noticed: u64,
    coverage: Coverage,
    races: Races,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout().lock();
    let good = match arguments.seed {
        Some(seed) => one(&mut out, &arguments.plan(seed)),
        None => many(&mut out, &arguments),
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read the output has gone.
        Err(_) => ExitCode::FAILURE,
    }
}

impl Arguments {
    fn plan(&self, seed: u64) -> Plan {
        let plan = if self.encrypted { Plan::encrypted(seed) } else { Plan::new(seed) };
        let plan = self.lie.map_or(plan.clone(), |lie| plan.with_lie(lie));
        self.defect.map_or(plan.clone(), |defect| plan.with_defect(defect))
    }
}

impl Totals {
    fn add(&mut self, report: Report) {
        self.answered += report.answered;
        self.messages += report.messages;
        self.lies += u64::from(report.lie.is_some());
        self.noticed += u64::from(report.lie == Some(LieOutcome::Noticed));
        self.coverage.add(&report.coverage);
        self.races.add(report.races);
        if !report.violations.is_empty() {
            self.failed.push(report);
        }
    }
}

fn one(out: &mut impl std::io::Write, plan: &Plan) -> std::io::Result<bool> {
    writeln!(out, "{plan:#?}")?;
    let report = run(plan, true);
    report.trace.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    print(out, &report)?;
    Ok(report.violations.is_empty())
}

fn many(out: &mut impl std::io::Write, arguments: &Arguments) -> std::io::Result<bool> {
    let seeds = &arguments.seeds;
    let next = AtomicU64::new(seeds.start);
    let totals = Mutex::new(Totals::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| seeds.contains(seed)) {
                    let report = run(&arguments.plan(seed), false);
                    if let Ok(mut totals) = totals.lock() {
                        totals.add(report);
                    }
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap_or_default();
    totals.failed.iter().try_for_each(|report| print(out, report))?;
    if arguments.coverage {
        let wanted: &[_] = if arguments.encrypted { &Coverage::WANTED_OF_GROUPS } else { &Coverage::WANTED };
        totals.coverage.counts(wanted).try_for_each(|(what, count)| writeln!(out, "{count:>9} {what}"))?;
    }
    if arguments.encrypted {
        let Races { lost, losers, retries } = totals.races;
        writeln!(out, "races: {losers} losers, {lost} commits too late, {retries} made again")?;
    }
    let Totals { failed, answered, messages, lies, noticed, .. } = &totals;
    let count = seeds.end.saturating_sub(seeds.start);
    writeln!(
        out,
        "{count} seeds, {} failed; {answered} events acknowledged, {messages} messages, {lies} lies, {noticed} noticed",
        failed.len()
    )?;
    Ok(failed.is_empty())
}

fn print(out: &mut impl std::io::Write, report: &Report) -> std::io::Result<()> {
    let seed = report.seed;
    match report.violations.is_empty() {
        true => writeln!(out, "seed {seed}: good ({} events acknowledged)", report.answered)?,
        false => writeln!(out, "seed {seed}: failed. To see it: {}", report.replay)?,
    }
    report.violations.iter().try_for_each(|violation| writeln!(out, "    {violation}"))?;
    out.flush()
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("give it as FIRST..END")?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|error| error.to_string());
    Ok(number(first)?..number(end)?)
}

fn lie(text: &str) -> Result<Lie, String> {
    Lie::parse(text).ok_or_else(|| format!("one of {:?}", Lie::ALL))
}

fn defect(text: &str) -> Result<Defect, String> {
    Defect::parse(text).ok_or_else(|| format!("one of {:?}", Defect::all().collect::<Vec<_>>()))
}
