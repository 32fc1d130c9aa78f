//! Firewalls: their rules and the resources that they apply to.

use serde::Deserialize;
use serde_json::json;

use super::body::Fields;
use super::error::ApiError;
use super::list::Listing;
use super::reply::Reply;
use super::scope::Scope;
use super::view;
use crate::state::firewall::{Direction, Rule, Target, parse_ports};
use crate::state::labels::Selector;
use crate::state::{Firewall, Id, Resource};
use crate::work::Work;

const FIREWALLS: Listing =
    Listing { plural: "firewalls", sort: &["id", "name", "created"], equal: &["name"] };

/// Maximum number of rules in a firewall.
const MAX_RULES: usize = 50;

/// Maximum number of networks in a rule.
const MAX_NETWORKS: usize = 100;

/// A resource in a request: only the part that its type names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetBody {
    r#type: String,
    server: Option<ServerRef>,
    label_selector: Option<SelectorRef>,
}

#[derive(Debug, Deserialize)]
struct ServerRef {
    id: Id,
}

#[derive(Debug, Deserialize)]
struct SelectorRef {
    selector: String,
}

pub(super) fn list(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    scope.list(
        &FIREWALLS,
        scope.project.firewalls.values().map(|f| view::firewall(scope.project, f)).collect(),
    )
}

pub(super) fn get(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    find(scope)?;
    Ok(Reply::ok(json!({"firewall": scope.firewall_json(scope.id())})))
}

fn find<'s>(scope: &'s Scope<'_>) -> Result<&'s Firewall, ApiError> {
    scope
        .project
        .firewalls
        .get(&scope.id())
        .ok_or_else(|| ApiError::not_found("firewall", scope.id()))
}

pub(super) fn create(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let mut fields = Fields::of(&scope.call.body);
    let name: String = fields.required("name");
    let labels = fields.labels().unwrap_or_default();
    let rules: Vec<Rule> = fields.optional("rules").unwrap_or_default();
    let apply_to: Vec<TargetBody> = fields.optional("apply_to").unwrap_or_default();
    fields.refuse_unless(is_name(&name), "name", "Length must be between 1 and 128.");
    check_rules(&mut fields, &rules);
    fields.finish()?;
    ensure_name_is_free(scope, &name, None)?;
    let targets = targets(scope, apply_to)?;
    ensure_targets_unlocked(scope, &targets)?;
    let id = scope.new_id();
    let has_rules = !rules.is_empty();
    let targets = targets.into_iter().collect();
    scope
        .project
        .firewalls
        .insert(id, Firewall { id, name, created: scope.now, labels, rules, revision: 1, targets });
    let mut actions = Vec::new();
    if has_rules {
        actions.push(note_rules(scope, id));
    }
    actions.extend(scope.settle_firewalls());
    Ok(Reply::created(
        json!({"firewall": scope.firewall_json(id), "actions": scope.actions_json(&actions)}),
    ))
}

pub(super) fn update(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let id = find(scope)?.id;
    let mut fields = Fields::of(&scope.call.body);
    let name: Option<String> = fields.optional("name");
    let labels = fields.labels();
    fields.refuse_unless(
        name.as_deref().is_none_or(is_name),
        "name",
        "Length must be between 1 and 128.",
    );
    fields.finish()?;
    if let Some(name) = &name {
        ensure_name_is_free(scope, name, Some(id))?;
    }
    if let Some(firewall) = scope.project.firewalls.get_mut(&id) {
        firewall.name = name.unwrap_or_else(|| std::mem::take(&mut firewall.name));
        firewall.labels = labels.unwrap_or_else(|| std::mem::take(&mut firewall.labels));
    }
    get(scope)
}

pub(super) fn delete(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let firewall = find(scope)?;
    let id = firewall.id;
    let is_on_a_server = scope.project.servers.values().any(|s| s.firewalls.contains_key(&id));
    if !firewall.targets.is_empty() || is_on_a_server {
        return Err(ApiError::unprocessable(
            "resource_in_use",
            format!("firewall with ID '{id}' is still in use"),
        ));
    }
    scope.project.firewalls.remove(&id);
    Ok(Reply::nothing())
}

pub(super) fn set_rules(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let id = find(scope)?.id;
    let mut fields = Fields::of(&scope.call.body);
    let rules: Vec<Rule> = fields.required("rules");
    check_rules(&mut fields, &rules);
    fields.finish()?;
    if let Some(firewall) = scope.project.firewalls.get_mut(&id) {
        firewall.rules = rules;
        firewall.revision += 1;
    }
    let mut actions = vec![note_rules(scope, id)];
    actions.extend(scope.settle_firewalls());
    Ok(Reply::created(json!({"actions": scope.actions_json(&actions)})))
}

pub(super) fn apply(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    change_targets(scope, "apply_to", |before, target| {
        let is_new = before.targets.insert(target);
        is_new.then_some(()).ok_or_else(|| {
            ApiError::unprocessable("firewall_already_applied", "firewall is already applied")
        })
    })
}

pub(super) fn remove(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    change_targets(scope, "remove_from", |before, target| {
        let was_there = before.targets.remove(&target);
        was_there.then_some(()).ok_or_else(|| {
            ApiError::unprocessable("firewall_already_removed", "firewall is already removed")
        })
    })
}

fn change_targets(
    scope: &mut Scope<'_>,
    field: &str,
    change: fn(&mut Firewall, Target) -> Result<(), ApiError>,
) -> Result<Reply, ApiError> {
    let mut changed = find(scope)?.clone();
    let mut fields = Fields::of(&scope.call.body);
    let named: Vec<TargetBody> = fields.required(field);
    fields.finish()?;
    let targets = targets(scope, named)?;
    ensure_targets_unlocked(scope, &targets)?;
    targets.into_iter().try_for_each(|target| change(&mut changed, target))?;
    scope.project.firewalls.insert(changed.id, changed);
    let actions = scope.settle_firewalls();
    Ok(Reply::created(json!({"actions": scope.actions_json(&actions)})))
}

/// The rules take effect on each server after an action of its own.
fn note_rules(scope: &mut Scope<'_>, firewall: Id) -> Id {
    let action = scope.action("set_firewall_rules", &[Resource::Firewall(firewall)]);
    scope.start(vec![(action, Work::Nothing)], Vec::new());
    action
}

fn targets(scope: &Scope<'_>, bodies: Vec<TargetBody>) -> Result<Vec<Target>, ApiError> {
    let target = |body: TargetBody| match (body.r#type.as_str(), body.server, body.label_selector) {
        ("server", Some(server), None) if scope.project.servers.contains_key(&server.id) => {
            Ok(Target::Server(server.id))
        }
        ("server", Some(server), None) => Err(ApiError::unprocessable(
            "firewall_resource_not_found",
            format!("server with ID '{}' not found", server.id),
        )),
        ("label_selector", None, Some(SelectorRef { selector })) => {
            match Selector::parse(&selector) {
                Ok(_) => Ok(Target::Selector(selector)),
                Err(problem) => {
                    Err(ApiError::invalid(format!("invalid label_selector: {problem}")))
                }
            }
        }
        _ => Err(ApiError::invalid_field(
            "type",
            "Must be one of: server, label_selector, with the part that it names.",
        )),
    };
    bodies.into_iter().map(target).collect()
}

fn ensure_targets_unlocked(scope: &Scope<'_>, targets: &[Target]) -> Result<(), ApiError> {
    let mut servers = targets.iter().filter_map(|t| match t {
        Target::Server(id) => Some(Resource::Server(*id)),
        Target::Selector(_) => None,
    });
    servers.try_for_each(|server| scope.ensure_unlocked(server))
}

fn check_rules(fields: &mut Fields, rules: &[Rule]) {
    if rules.len() > MAX_RULES {
        fields.refuse("rules", "At most 50 rules are allowed.");
    }
    for (at, rule) in rules.iter().enumerate() {
        if let Err(problem) = check_rule(rule) {
            fields.refuse("rules", format!("rule {at}: {problem}"));
        }
    }
}

fn check_rule(rule: &Rule) -> Result<(), &'static str> {
    let networks =
        if rule.direction == Direction::In { &rule.source_ips } else { &rule.destination_ips };
    if networks.is_empty() {
        return Err("inbound rules need source_ips, outbound rules destination_ips");
    }
    if networks.len() > MAX_NETWORKS {
        return Err("at most 100 networks are allowed");
    }
    if !rule.source_ips.iter().chain(&rule.destination_ips).all(|n| is_network(n)) {
        return Err("networks are written in CIDR notation");
    }
    match (rule.protocol.has_ports(), &rule.port) {
        (true, Some(port)) if parse_ports(port).is_some() => {}
        (true, _) => return Err("tcp and udp need a port or a port range"),
        (false, Some(_)) => return Err("only tcp and udp have ports"),
        (false, None) => {}
    }
    if rule.description.as_ref().is_some_and(|d| d.chars().count() > 255) {
        return Err("the description is longer than 255");
    }
    Ok(())
}

fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    match (address.parse(), bits.parse::<u8>()) {
        (Ok(std::net::IpAddr::V4(_)), Ok(bits)) => bits <= 32,
        (Ok(std::net::IpAddr::V6(_)), Ok(bits)) => bits <= 128,
        _ => false,
    }
}

fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= 128
}

fn ensure_name_is_free(scope: &Scope<'_>, name: &str, except: Option<Id>) -> Result<(), ApiError> {
    let taken = scope.project.firewalls.values().any(|f| f.name == name && Some(f.id) != except);
    if taken { Err(ApiError::taken("name", "name is already used")) } else { Ok(()) }
}
