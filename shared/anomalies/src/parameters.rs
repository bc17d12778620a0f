//! The parameters of the detectors: data, built in and replaceable by a file of the operator.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    detectors::{
        bot_loop, call_burst, code_guessing, complaints, failure_rate, new_country, opt_outs, premium_prefix,
        shared_contact, sign_in_guessing, sms_pumping, spend_rate, token_guessing, token_rotation, volume_spike,
    },
    finding::Detector,
    setting::Setting,
};

const BUILT_IN: &str = include_str!("../../../deploy/anomalies.toml");

/// Why parameters cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ParameterError(String);

/// The parameters in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    pub reactions: Reactions,
    pub volume_spike: Setting<volume_spike::Parameters>,
    pub spend_rate: Setting<spend_rate::Parameters>,
    pub new_country: Setting<new_country::Parameters>,
    pub premium_prefix: Setting<premium_prefix::Parameters>,
    pub sms_pumping: Setting<sms_pumping::Parameters>,
    pub token_guessing: Setting<token_guessing::Parameters>,
    pub code_guessing: Setting<code_guessing::Parameters>,
    pub sign_in_guessing: Setting<sign_in_guessing::Parameters>,
    pub token_rotation: Setting<token_rotation::Parameters>,
    pub failure_rate: Setting<failure_rate::Parameters>,
    pub opt_outs: Setting<opt_outs::Parameters>,
    pub complaints: Setting<complaints::Parameters>,
    pub call_burst: Setting<call_burst::Parameters>,
    pub bot_loop: Setting<bot_loop::Parameters>,
    pub shared_contact: Setting<shared_contact::Parameters>,
}

/// The parameters of reactions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reactions {
    /// An anomaly ends when it was not seen for this long.
    pub quiet_minutes: u32,
    /// A restraint ends after this time. It is extended while the anomaly lasts.
    pub restraint_minutes: u32,
    /// Actions per minute of a throttled agent.
    pub throttle_per_minute: u32,
    /// Unusual traffic becomes usual after this time.
    pub learn_after_hours: u32,
}

impl Parameters {
    /// Returns the parameters that the program comes with.
    pub fn built_in() -> Result<Self, ParameterError> {
        Self::parse(BUILT_IN)
    }

    /// Reads a file with all parameters.
    pub fn read(file: &Path) -> Result<Self, ParameterError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ParameterError(format!("{} can't be read: {error}", file.display())))?;
        Self::parse(&text).map_err(|error| ParameterError(format!("{}, {error}", file.display())))
    }

    /// Parses all parameters. The error names the line of the mistake.
    pub fn parse(text: &str) -> Result<Self, ParameterError> {
        let parameters: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
            ParameterError(format!("line {line}: {}", error.message()))
        })?;
        let reactions = &parameters.reactions;
        if reactions.quiet_minutes == 0 || reactions.restraint_minutes == 0 || reactions.throttle_per_minute == 0 {
            return Err(ParameterError("reactions are numbers of at least 1".into()));
        }
        for detector in Detector::ALL {
            parameters.check(*detector)?;
        }
        Ok(parameters)
    }

    /// Checks that the reaction of a detector is possible: an anomaly without an agent only raises an alert.
    fn check(&self, detector: Detector) -> Result<(), ParameterError> {
        let view = self.view(detector);
        let has_agent = match detector {
            Detector::VolumeSpike
            | Detector::SpendRate
            | Detector::PremiumPrefix
            | Detector::SmsPumping
            | Detector::CodeGuessing
            | Detector::FailureRate
            | Detector::CallBurst
            | Detector::BotLoop => true,
            Detector::NewCountry
            | Detector::TokenGuessing
            | Detector::SignInGuessing
            | Detector::TokenRotation
            | Detector::OptOuts
            | Detector::Complaints
            | Detector::SharedContact => false,
        };
        match has_agent || view["reaction"] == "alert" {
            true => Ok(()),
            false => Err(ParameterError(format!(
                "{}: its anomalies have no agent, so the reaction is \"alert\"",
                detector.name()
            ))),
        }
    }

    /// Returns the settings of a detector as JSON.
    pub fn view(&self, detector: Detector) -> Value {
        // Numbers, texts and flags only, so the conversion can't fail.
        let all = serde_json::to_value(self).unwrap_or_else(|_| json!({}));
        all[detector.name()].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_parameters_name_every_detector() {
        let parameters = Parameters::built_in().unwrap();
        for detector in Detector::ALL {
            assert!(parameters.view(*detector)["parameters"].is_object(), "{detector:?}");
            assert_eq!(Detector::parse(detector.name()), Some(*detector));
        }
    }

    #[test]
    fn suspension_is_opt_in() {
        let parameters = Parameters::built_in().unwrap();
        for detector in Detector::ALL {
            let expected = match detector {
                Detector::SmsPumping | Detector::CodeGuessing => "throttle",
                _ => "alert",
            };
            assert_eq!(parameters.view(*detector)["reaction"], expected, "{detector:?}");
        }
    }

    #[test]
    fn rejects_wrong_parameters_with_their_place() {
        let text = BUILT_IN.replacen("ratio", "ration", 1);
        let error = Parameters::parse(&text).unwrap_err().to_string();
        assert!(error.starts_with("line ") && error.contains("ration"), "{error}");
        assert!(Parameters::parse("").is_err());
        let text = BUILT_IN.replacen("throttle_per_minute = 6", "throttle_per_minute = 0", 1);
        assert!(Parameters::parse(&text).unwrap_err().to_string().contains("at least 1"));
    }

    #[test]
    fn rejects_reactions_without_an_agent() {
        let (before, section) = BUILT_IN.split_once("[opt_outs]").unwrap();
        let text = format!(
            "{before}[opt_outs]{}",
            section.replacen("reaction = \"alert\"", "reaction = \"suspend\"", 1)
        );
        assert!(
            Parameters::parse(&text)
                .unwrap_err()
                .to_string()
                .starts_with("opt_outs")
        );
    }
}
