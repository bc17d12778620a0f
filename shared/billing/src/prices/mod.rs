//! Prices, in millionths of a US dollar: the amount that is reserved before a send. The carrier's price corrects them where it
//! reports one. They protect budgets and are no invoice. The prices themselves are data: `prices.csv`, and an operator's file.

mod table;

use butt_dial_domain::{
    Address, Channel, Destination, Micros, call::Purpose, inbound::WhatsappCategory, message::Content,
    ports::numbers::NumberKind, sms,
};
use chrono::NaiveDate;

use table::{Kind, Table};

const SHIPPED: &str = include_str!("prices.csv");

/// All prices, of all days.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices(Table);

impl Prices {
    /// Reads the prices of this build, and the rows of an operator's file, which replace them. Fails with the reason if the file can't
    /// be used.
    pub fn read(own: Option<&str>) -> Result<Self, String> {
        Table::read(SHIPPED, own).map(Self)
    }

    /// Returns the prices that are valid on this day.
    pub fn on(&self, day: NaiveDate) -> PriceList<'_> {
        PriceList { table: &self.0, day }
    }
}

/// The prices of one day.
#[derive(Clone, Copy, Debug)]
pub struct PriceList<'a> {
    table: &'a Table,
    day: NaiveDate,
}

impl PriceList<'_> {
    /// Estimates the price of a message, or of the first minute of a call. Templates count as marketing, the dearest category,
    /// until the carrier reports theirs.
    pub fn estimate(&self, channel: Channel, carrier: Option<&str>, to: &Address, content: &Content) -> Micros {
        let one = |kind| self.table.find(kind, carrier, to.as_str(), self.day);
        match channel {
            Channel::Email => times(one(Kind::Email), i64::from(content.recipients())),
            Channel::Line => one(Kind::Line),
            Channel::Voice => Micros(self.minute(to).0 + self.second_leg(content).0),
            Channel::Whatsapp if content.template.is_some() => one(Kind::WhatsappMarketing),
            Channel::Whatsapp => one(Kind::WhatsappService),
            Channel::Sms if !content.media.is_empty() => one(Kind::Mms),
            Channel::Sms => {
                let (_, segments) = sms::segments(content.body.as_deref().unwrap_or_default());
                times(one(Kind::Sms), i64::from(segments))
            }
        }
    }

    /// Returns the price of a text that the carrier has divided into this many segments. `None`: the message is not charged by
    /// segments.
    pub fn text_of_segments(
        &self,
        channel: Channel,
        carrier: Option<&str>,
        to: &Address,
        content: &Content,
        segments: u32,
    ) -> Option<Micros> {
        let is_text = channel == Channel::Sms && content.media.is_empty();
        let one = || self.table.find(Kind::Sms, carrier, to.as_str(), self.day);
        is_text.then(|| times(one(), i64::from(segments)))
    }

    /// Price of a WhatsApp message of a category that the carrier reports. `to` may be the beginning of the number.
    pub fn whatsapp(&self, category: WhatsappCategory, carrier: Option<&str>, to: &str) -> Micros {
        let kind = match category {
            WhatsappCategory::Service => Kind::WhatsappService,
            WhatsappCategory::Utility => Kind::WhatsappUtility,
            WhatsappCategory::Marketing => Kind::WhatsappMarketing,
            WhatsappCategory::Authentication => Kind::WhatsappAuthentication,
        };
        self.table.find(kind, carrier, to, self.day)
    }

    /// Price of one minute of a conversation with this number.
    pub fn minute(&self, to: &Address) -> Micros {
        let conversation = self.table.find(Kind::ConversationMinute, None, to.as_str(), self.day);
        Micros(self.leg_minute(to).0 + conversation.0)
    }

    /// Price of one minute of a call leg to this number, without speech recognition and synthesis.
    pub fn leg_minute(&self, to: &Address) -> Micros {
        let kind = match Destination::of(to) {
            Destination::Satellite => Kind::SatelliteMinute,
            Destination::Premium => Kind::PremiumMinute,
            Destination::Ordinary | Destination::Caribbean => Kind::CallMinute,
        };
        self.table.find(kind, None, to.as_str(), self.day)
    }

    /// Price of synthesizing a text of this many characters.
    pub fn speech(&self, characters: usize) -> Micros {
        let thousands = i64::try_from(characters.div_ceil(1_000)).unwrap_or(i64::MAX);
        times(self.table.find(Kind::Speech, None, "", self.day), thousands)
    }

    /// Price of transcribing a recording of this many bytes. Speech has at least two kilobytes per second.
    pub fn transcription(&self, bytes: usize) -> Micros {
        let minutes = i64::try_from(bytes.div_ceil(120_000)).unwrap_or(i64::MAX);
        let minute = self.table.find(Kind::TranscriptionMinute, None, "", self.day);
        times(minute, minutes.max(1))
    }

    /// Rent of a number in a country of two letters for a month.
    pub fn number_month(&self, country: &str, kind: NumberKind) -> Micros {
        let kind = match kind {
            NumberKind::Local => Kind::NumberLocal,
            NumberKind::Mobile => Kind::NumberMobile,
            NumberKind::TollFree => Kind::NumberTollFree,
        };
        self.table.find(kind, None, country, self.day)
    }

    /// A call that connects the callee to a third party has a second leg.
    fn second_leg(&self, content: &Content) -> Micros {
        match content.call.as_ref().map(|call| &call.plan.purpose) {
            Some(Purpose::Connect { to }) => {
                Address::parse(Channel::Voice, to).map_or(Micros::ZERO, |to| self.leg_minute(&to))
            }
            _ => Micros::ZERO,
        }
    }
}

fn times(price: Micros, count: i64) -> Micros {
    Micros(price.0.saturating_mul(count))
}

#[cfg(test)]
mod tests;
