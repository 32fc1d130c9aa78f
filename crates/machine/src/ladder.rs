//! Which server type in which location is tried, and in which order. Pure.

use crate::image_choice::Candidate;
use crate::observed::{Catalogue, Offer, ServerType, Volume};
use crate::problem::Problem;
use crate::spec::Spec;

/// A server type in a location, with the images that it could be made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// Server type.
    pub server_type: String,
    /// Location.
    pub location: String,
    /// Stock and price there, by the cloud.
    pub offer: Offer,
    /// Images of its architecture that fit its disk; never empty.
    pub images: Vec<Candidate>,
}

/// All server types × locations that can be ordered, in the order in which they are tried. Never
/// empty.
pub(crate) fn ladder(
    spec: &Spec,
    volume: Option<&Volume>,
    catalogue: &Catalogue,
) -> Result<Vec<Rung>, Problem> {
    for name in &spec.locations {
        if !catalogue.locations.contains(name) {
            return Err(Problem::UnknownLocation {
                name: name.clone(),
                known: catalogue.locations.clone(),
            });
        }
    }
    let with_images = types_with_images(spec, catalogue)?;
    let locations = match volume {
        Some(volume) => vec![volume.location.clone()],
        None => spec.locations.clone(),
    };
    let mut rungs = Vec::new();
    for location in &locations {
        for (found, images) in &with_images {
            if let Some(offer) = found.offers.get(location) {
                let (server_type, location, images) =
                    (found.name.clone(), location.clone(), images.clone());
                rungs.push(Rung { server_type, location, offer: *offer, images });
            }
        }
    }
    if rungs.is_empty() {
        return Err(Problem::NotSold {
            server_types: spec.server_types.clone(),
            locations,
            pinned: volume.is_some(),
        });
    }
    Ok(in_order(rungs, &spec.server_types))
}

/// The server types in the settings that an image exists for, in order of preference.
fn types_with_images<'a>(
    spec: &Spec,
    catalogue: &'a Catalogue,
) -> Result<Vec<(&'a ServerType, Vec<Candidate>)>, Problem> {
    let mut wanted = Vec::new();
    for name in &spec.server_types {
        let Some(found) = catalogue.server_types.iter().find(|offered| &offered.name == name)
        else {
            let known = catalogue.server_types.iter().map(|offered| offered.name.clone()).collect();
            return Err(Problem::UnknownServerType { name: name.clone(), known });
        };
        wanted.push(found);
    }
    let fitting = |found: &ServerType| -> Vec<Candidate> {
        let of_architecture = catalogue.images.get(&found.architecture).into_iter().flatten();
        of_architecture.filter(|image| image.disk <= found.disk).cloned().collect()
    };
    let with_images: Vec<_> = wanted
        .into_iter()
        .map(|found| (found, fitting(found)))
        .filter(|(_, images)| !images.is_empty())
        .collect();
    if with_images.is_empty() {
        return Err(Problem::UnknownImage {
            name: spec.image.to_string(),
            server_types: spec.server_types.clone(),
        });
    }
    Ok(with_images)
}

/// Turns the order of preference into the order of attempts. Rungs that the cloud believes to be
/// out of stock come last, since the belief may be wrong. But before a rung that is far dearer,
/// each preferred type is tried in every location.
fn in_order(preferred: Vec<Rung>, server_types: &[String]) -> Vec<Rung> {
    let rank = |rung: &Rung| server_types.iter().position(|name| *name == rung.server_type);
    let (available, mut doubtful): (Vec<Rung>, Vec<Rung>) =
        preferred.into_iter().partition(|rung| rung.offer.available);
    let mut ordered = Vec::new();
    for next in available {
        let goes_first = |rung: &mut Rung| {
            rank(rung) < rank(&next) && rung.offer.is_far_cheaper_than(next.offer)
        };
        ordered.extend(doubtful.extract_if(.., goes_first));
        ordered.push(next);
    }
    ordered.extend(doubtful);
    ordered
}
