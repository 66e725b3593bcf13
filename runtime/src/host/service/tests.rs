use super::*;

#[test]
fn a_team_takes_half_of_a_services_places_and_leaves_the_rest_to_others() {
    let url = "http://127.0.0.1:1".parse().unwrap();
    let (name, second) = (ServiceName::parse("catalog").unwrap(), Duration::from_secs(1));
    let service = Service::new(name, url, second, InFlight::new(4).unwrap(), Size::mib(1));
    let [tv, radio, web] = ["tv", "radio", "web"].map(|team| TeamName::parse(team).unwrap());
    let place = |team| service.place(team, &service.side(team));
    let mut of_tv = vec![place(&tv).unwrap(), place(&tv).unwrap()];
    let refused = place(&tv).unwrap_err();
    assert_eq!(refused, "2 requests of the team tv are under way, its share of 4");
    let _of_radio = [place(&radio).unwrap(), place(&radio).unwrap()];
    assert_eq!(place(&web).unwrap_err(), "4 requests are under way, its limit");
    of_tv.pop();
    assert!(place(&tv).is_ok());
    assert!(place(&web).is_ok(), "a refused request holds nothing");
}
