//! The order in which server types and locations are tried.

use super::*;

fn rungs(ladder: &[Rung]) -> Vec<String> {
    let images = |rung: &Rung| {
        rung.images.iter().map(|image| image.id.to_string()).collect::<Vec<_>>().join("+")
    };
    ladder
        .iter()
        .map(|rung| format!("{}@{}#{}", rung.server_type, rung.location, images(rung)))
        .collect()
}

#[test]
fn ladder_begins_with_rungs_in_stock_and_still_tries_the_others() {
    let Ok(Step::Create { volume: None, ladder }) =
        plan(&spec(), &Observed::default(), &catalogue())
    else {
        panic!()
    };
    assert_eq!(rungs(&ladder), ["cax11@fsn1#2", "cx23@nbg1#1", "cax11@nbg1#2", "cx23@fsn1#1"]);
}

#[test]
fn volume_pins_the_location() {
    let observed = Observed {
        volumes: vec![Volume { location: "nbg1".into(), ..volume(5, None) }],
        ..Observed::default()
    };
    let Ok(Step::Create { ladder, .. }) = plan(&spec(), &observed, &catalogue()) else { panic!() };
    assert_eq!(rungs(&ladder), ["cx23@nbg1#1", "cax11@nbg1#2"]);
    let observed = Observed {
        volumes: vec![Volume { location: "hel1".into(), ..volume(5, None) }],
        ..Observed::default()
    };
    assert!(matches!(
        plan(&spec(), &observed, &catalogue()),
        Err(Problem::NotSold { pinned: true, .. })
    ));
}

#[test]
fn each_rung_has_the_images_of_its_architecture_that_fit_its_disk() {
    let mut catalogue = catalogue();
    catalogue
        .images
        .get_mut("x86")
        .unwrap()
        .extend([image(7, ImageKind::Own, 41), image(8, ImageKind::Own, 40)]);
    catalogue.images.get_mut("arm").unwrap().push(image(9, ImageKind::Own, 80));
    let Ok(Step::Create { ladder, .. }) = plan(&spec(), &Observed::default(), &catalogue) else {
        panic!()
    };
    assert_eq!(rungs(&ladder), ["cax11@fsn1#2", "cx23@nbg1#1+8", "cax11@nbg1#2", "cx23@fsn1#1+8"]);
    catalogue.images = [("arm".to_owned(), vec![image(9, ImageKind::Own, 80)])].into();
    assert!(matches!(
        plan(&spec(), &Observed::default(), &catalogue),
        Err(Problem::UnknownImage { .. })
    ));
}

#[test]
fn unknown_names_are_reported_with_the_known_ones() {
    let wrong = Spec { server_types: vec!["cx99".into()], ..spec() };
    let problem = plan(&wrong, &Observed::default(), &catalogue()).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "there is no server type \"cx99\"; the cloud sells cx23, cax11"
    );
    let wrong = Spec { locations: vec!["mars".into()], ..spec() };
    let problem = plan(&wrong, &Observed::default(), &catalogue()).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "there is no location \"mars\"; the cloud has fsn1, nbg1, hel1"
    );
}

/// Stock and prices as the cloud reported them on 2026-09-29.
#[test]
fn far_dearer_type_comes_after_the_preferred_types_in_all_locations() {
    let offers = |available, hourly| {
        let offer = Offer { available, hourly: Some(hourly) };
        ["fsn1", "nbg1"].map(|location| (location.to_owned(), offer)).into()
    };
    let kind = |name: &str, architecture: &str, offers| ServerType {
        name: name.into(),
        architecture: architecture.into(),
        disk: 40,
        offers,
    };
    let catalogue = Catalogue {
        server_types: vec![
            kind("cx23", "x86", offers(false, 8_800)),
            kind("cpx22", "x86", offers(true, 31_200)),
            kind("cax11", "arm", offers(false, 8_800)),
        ],
        ..catalogue()
    };
    let spec =
        Spec { server_types: ["cx23", "cpx22", "cax11"].map(str::to_owned).into(), ..spec() };
    let Ok(Step::Create { ladder, .. }) = plan(&spec, &Observed::default(), &catalogue) else {
        panic!()
    };
    assert_eq!(
        rungs(&ladder),
        [
            "cx23@fsn1#1",
            "cx23@nbg1#1",
            "cpx22@fsn1#1",
            "cpx22@nbg1#1",
            "cax11@fsn1#2",
            "cax11@nbg1#2"
        ]
    );
    let dear_first = Spec { server_types: ["cpx22", "cx23"].map(str::to_owned).into(), ..spec };
    let Ok(Step::Create { ladder, .. }) = plan(&dear_first, &Observed::default(), &catalogue)
    else {
        panic!()
    };
    assert_eq!(
        rungs(&ladder)[..2],
        ["cpx22@fsn1#1", "cpx22@nbg1#1"],
        "a dear type that the user prefers comes first"
    );
}
