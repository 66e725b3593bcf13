use super::*;

#[test]
fn a_team_takes_half_of_a_services_places_and_leaves_the_rest_to_others() {
    let url = "http://127.0.0.1:1".parse().unwrap();
    let (name, second) = (ServiceName::parse("catalog").unwrap(), Duration::from_secs(1));
    let service = Service::new(name, url, second, InFlight::new(4).unwrap(), Size::mib(1));
    let [tv, radio, web] = ["tv", "radio", "web"].map(|team| TeamName::parse(team).unwrap());
    let mut of_tv = vec![service.place(&tv).unwrap(), service.place(&tv).unwrap()];
    let refused = service.place(&tv).unwrap_err();
    assert_eq!(refused, "2 requests of the team tv are under way, its share of 4");
    let _of_radio = [service.place(&radio).unwrap(), service.place(&radio).unwrap()];
    assert_eq!(service.place(&web).unwrap_err(), "4 requests are under way, its limit");
    of_tv.pop();
    assert!(service.place(&tv).is_ok());
    assert!(service.place(&web).is_ok(), "a refused request holds nothing");
}
