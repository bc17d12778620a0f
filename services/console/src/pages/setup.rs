//! The set-up: from an installation with an owner to a delivered message, in steps that can be left and continued.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_domain::{Code, Failure};
use maud::html;
use serde_json::json;

use super::{
    setup_forms::{finished, step_body, summary},
    setup_state::{STEPS, Step, read},
};
use crate::{
    app::App,
    format::text,
    member::Member,
    page::{self, Place},
    parts::{self, Tone},
    rights,
    session::Posted,
};

/// `GET /setup`
pub async fn show(State(app): State<App>, member: Member) -> Response {
    render(&app, &member, None, None).await
}

/// `POST /setup/{step}`
pub async fn act(State(app): State<App>, Path(step): Path<String>, posted: Posted) -> Response {
    let member = &posted.member;
    if !rights::administers(member.role()) {
        let refusal = rights::refusal(member.role());
        return page::member_failed(&app, member, Place::Setup, &refusal);
    }
    let Some(step) = STEPS.into_iter().find(|known| known.name() == step) else {
        return Redirect::to(&app.path("/setup")).into_response();
    };
    let outcome = match (step, posted.get("do")) {
        (_, "skip") => app.console().mark(&member.inner, step.name()).await.map(|()| None),
        (Step::Agent, _) => create_agent(&app, &posted).await.map(|()| None),
        (Step::Limits, _) => set_limits(&app, &posted).await.map(|()| None),
        (Step::Connect, _) => create_token(&app, &posted).await.map(Some),
        (Step::Message, _) => return send(&app, &posted).await,
        (Step::Carriers, _) => app.console().mark(&member.inner, step.name()).await.map(|()| None),
    };
    match outcome {
        // A secret is shown in the response and nowhere else.
        Ok(Some(secret)) => render(&app, member, Some(&secret), None).await,
        Ok(None) => Redirect::to(&app.path("/setup#next")).into_response(),
        Err(failure) => render(&app, member, None, Some((step, &failure))).await,
    }
}

async fn create_agent(app: &App, posted: &Posted) -> Result<(), Failure> {
    let member = &posted.member;
    let created = app
        .call(member, "register_agent", json!({ "displayName": posted.get("name") }))
        .await?;
    let agent = text(&created, "agentId");
    for (field, kind) in [("phone", "phone"), ("email", "email")] {
        if let Some(address) = posted.optional(field) {
            let args = json!({ "agentId": agent, "channel_type": kind, "identifier": address });
            app.call(member, "add_comm_channel", args).await?;
        }
    }
    Ok(())
}

async fn set_limits(app: &App, posted: &Posted) -> Result<(), Failure> {
    let mut limits = json!({});
    for field in ["maxSpendPerDay", "maxSpendPerMonth"] {
        if let Some(amount) = posted.optional(field) {
            let amount: f64 = amount.parse().map_err(|_| {
                Failure::new(Code::InvalidArgument, "a limit is an amount in US dollars, such as 20")
                    .detail("fields", vec![field])
            })?;
            limits[field] = json!(amount);
        }
    }
    let args = json!({ "limits": limits, "confirm": true });
    app.call(&posted.member, "comms_set_client_limits", args).await?;
    Ok(())
}

async fn create_token(app: &App, posted: &Posted) -> Result<String, Failure> {
    let args = json!({ "agentId": posted.get("agent"), "label": "set-up" });
    let created = app.call(&posted.member, "create_agent_token", args).await?;
    Ok(text(&created, "token").to_owned())
}

async fn send(app: &App, posted: &Posted) -> Response {
    let args = json!({
        "to": posted.get("to"), "channel": posted.get("channel"), "body": posted.get("body"),
        "idempotencyKey": posted.get("key"),
    });
    let member = &posted.member;
    match app
        .call_as_agent(member, posted.get("agent"), "comms_send_message", args)
        .await
    {
        Ok(sent) => {
            let id = text(&sent, "messageId").to_owned();
            let noted = app
                .console()
                .note_action(&member.inner, "message.send", &id, json!({ "by": "set-up" }))
                .await;
            if let Err(failure) = noted {
                tracing::warn!(code = failure.code.as_str(), "audit entry not written");
            }
            Redirect::to(&app.path("/setup#next")).into_response()
        }
        Err(failure) => render(app, member, None, Some((Step::Message, &failure))).await,
    }
}

async fn render(app: &App, member: &Member, secret: Option<&str>, failure: Option<(Step, &Failure)>) -> Response {
    let overview = app.call(member, "get_overview", json!({ "days": 1 })).await;
    let steps = match overview {
        Ok(overview) => read(app, member, &overview).await,
        Err(failure) => Err(failure),
    };
    let steps = match steps {
        Ok(steps) => steps,
        Err(failure) => return page::member_failed(app, member, Place::Setup, &failure),
    };
    let next = steps.next();
    let shown = |step: Step| {
        next == Some(step)
            || failure.is_some_and(|(failed, _)| failed == step)
            || (secret.is_some() && step == Step::Connect)
    };
    let body = html! {
        (parts::head("Set-up", "Seven steps to the first delivered message. You can leave and come back; nothing here is final.", &html! {}))
        @if next.is_none() {
            (parts::note(Tone::Ok, &html! {
                p { strong { "Everything is set up." } " Your first message was delivered." }
                p { a href=(app.base()) { "To the overview" } }
            }))
        }
        div class="card flush" {
            ol class="steps" {
                (finished("Set-up key", "Used. It is worthless now."))
                (finished("Owner", &format!("{}, with an authenticator.", member.session().email)))
                @for (place, step) in STEPS.into_iter().enumerate() {
                    @let is_done = steps.is_done(step);
                    li class=(if is_done { "done" } else if next == Some(step) { "now" } else { "" }) id=[(next == Some(step)).then_some("next")] {
                        span class="mark" aria-hidden="true" { @if is_done { "✓" } @else { (place + 3) } }
                        div class="body" {
                            h2 { (step.label()) @if is_done { span class="hidden" { " (done)" } } }
                            @if let Some((failed, failure)) = failure { @if failed == step { (parts::failure(failure)) } }
                            @if shown(step) {
                                (step_body(app, member, &steps, step, secret))
                            } @else if is_done {
                                p class="muted" { (summary(app, &steps, step)) }
                            }
                        }
                    }
                }
            }
        }
    };
    page::member(app, member, Place::Setup, "Set-up", &body)
}
