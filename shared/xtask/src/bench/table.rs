//! The results of the measurements, next to their targets.

#[derive(Default)]
pub struct Table(Vec<[String; 4]>);

impl Table {
    /// Adds a value without a target.
    pub fn note(&mut self, name: &str, value: f64, unit: &str) {
        self.row(name, format!("{value:.0} {unit}"), String::new(), String::new());
    }

    /// Adds a rate with its ratio to the rate of the bare server.
    pub fn ratio(&mut self, name: &str, rate: f64, bare: f64, target: f64) {
        let ratio = rate / bare;
        self.row(
            name,
            format!("{rate:.0} /s"),
            format!("{ratio:.2} of bare"),
            verdict(ratio >= target, &format!("at least {target}")),
        );
    }

    /// Adds a value with an upper limit.
    pub fn at_most(&mut self, name: &str, value: f64, unit: &str, target: f64) {
        self.row(
            name,
            format!("{value:.3} {unit}"),
            String::new(),
            verdict(value <= target, &format!("at most {target} {unit}")),
        );
    }

    /// Adds a value with a lower limit.
    pub fn at_least(&mut self, name: &str, value: f64, unit: &str, target: f64) {
        self.row(
            name,
            format!("{value:.0} {unit}"),
            String::new(),
            verdict(value >= target, &format!("at least {target} {unit}")),
        );
    }

    /// Adds a value without a target, with three decimals.
    pub fn value(&mut self, name: &str, value: f64, unit: &str) {
        self.row(name, format!("{value:.3} {unit}"), String::new(), String::new());
    }

    /// Adds several figures of one measurement.
    pub fn figures(&mut self, name: &str, values: String, verdicts: String) {
        self.row(name, values, String::new(), verdicts);
    }

    fn row(&mut self, name: &str, value: String, ratio: String, verdict: String) {
        // A run is long: each result is printed at once.
        eprintln!("{name}: {value} {ratio} {verdict}");
        self.0.push([name.to_owned(), value, ratio, verdict]);
    }

    pub fn print(&self) {
        println!("| measured | value | ratio | target |\n|---|---|---|---|");
        for [name, value, ratio, verdict] in &self.0 {
            println!("| {name} | {value} | {ratio} | {verdict} |");
        }
    }
}

fn verdict(met: bool, target: &str) -> String {
    format!("{target}: {}", if met { "met" } else { "MISSED" })
}
