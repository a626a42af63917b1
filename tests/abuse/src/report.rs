//! What an attack came to: a line for a person, and the bars that were missed.

use crate::{
    attack::{Attack, Bars},
    trial::Outcome,
};

pub(crate) fn print_head() {
    println!(
        "{:<20} {:>8} {:>7} {:>9} {:>13} {:>8} {:>8} {:>8}",
        "attack", "peak MB", "cpu s", "stall ms", "orders served", "p50 ms", "p99 ms", "stop s"
    );
}

pub(crate) fn print(attack: &Attack, outcome: &Outcome) {
    let Outcome { peak_mb, cpu, orders, stopped, .. } = outcome;
    let stop = match stopped {
        Ok(took) => format!("{:.1}", took.as_secs_f64()),
        Err(_) => "never".to_owned(),
    };
    println!(
        "{:<20} {peak_mb:>8.0} {:>7.1} {:>9} {:>13} {:>8} {:>8} {stop:>8}",
        attack.name,
        cpu.as_secs_f64(),
        orders.longest_stall().as_millis(),
        format!("{} of {}", orders.served(), orders.placed()),
        orders.latency(0.5).as_millis(),
        orders.latency(0.99).as_millis(),
    );
    for sentence in &outcome.notes {
        println!("    {sentence}");
    }
}

/// The bars that were missed, a sentence each.
pub(crate) fn missed(bars: &Bars, outcome: &Outcome) -> Vec<String> {
    let Outcome { peak_mb, orders, stopped, violations, .. } = outcome;
    let mut missed = violations.clone();
    if *peak_mb > bars.peak_mb {
        missed.push(format!("it took {peak_mb:.0} MB; {:.0} at most", bars.peak_mb));
    }
    let p99 = orders.latency(0.99);
    if p99 > bars.p99 {
        missed.push(format!("p99 of the orders is {p99:?}; {:?} at most", bars.p99));
    }
    if let (failed, Some(first)) = orders.failed() {
        missed.push(format!("{failed} orders failed, the first one: {first}"));
    }
    if orders.refused() > 0 && !bars.refusals {
        missed.push(format!("{} orders were refused", orders.refused()));
    }
    if orders.served() == 0 {
        missed.push("no order was served".to_owned());
    }
    match stopped {
        Ok(took) if *took > bars.stop => {
            missed.push(format!("it ended {took:?} after SIGTERM; {:?} at most", bars.stop));
        }
        Ok(_) => {}
        Err(error) => missed.push(format!("{error:#}")),
    }
    missed
}
