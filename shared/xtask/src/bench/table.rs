//! The result: what was measured, beside what was asked for.

#[derive(Default)]
pub struct Table(Vec<[String; 4]>);

impl Table {
    /// A number that nothing is asked of.
    pub fn note(&mut self, what: &str, value: f64, unit: &str) {
        self.row(what, format!("{value:.0} {unit}"), String::new(), String::new());
    }

    /// A rate as a part of the bare server's.
    pub fn ratio(&mut self, what: &str, rate: f64, bare: f64, asked: f64) {
        let ratio = rate / bare;
        self.row(
            what,
            format!("{rate:.0} /s"),
            format!("{ratio:.2} of bare"),
            verdict(ratio >= asked, &format!("at least {asked}")),
        );
    }

    pub fn at_most(&mut self, what: &str, value: f64, unit: &str, asked: f64) {
        self.row(
            what,
            format!("{value:.3} {unit}"),
            String::new(),
            verdict(value <= asked, &format!("at most {asked} {unit}")),
        );
    }

    pub fn at_least(&mut self, what: &str, value: f64, unit: &str, asked: f64) {
        self.row(
            what,
            format!("{value:.0} {unit}"),
            String::new(),
            verdict(value >= asked, &format!("at least {asked} {unit}")),
        );
    }

    fn row(&mut self, what: &str, value: String, ratio: String, asked: String) {
        // Long runs: each result is told when it is there.
        eprintln!("{what}: {value} {ratio} {asked}");
        self.0.push([what.to_owned(), value, ratio, asked]);
    }

    pub fn print(&self) {
        println!("| measured | value | ratio | asked for |\n|---|---|---|---|");
        for [what, value, ratio, asked] in &self.0 {
            println!("| {what} | {value} | {ratio} | {asked} |");
        }
    }
}

fn verdict(met: bool, asked: &str) -> String {
    format!("{asked}: {}", if met { "met" } else { "MISSED" })
}
