//! The people of the demo: a few dozen contacts, leads and accounts, and the three agents who answer their calls.
//!
//! Every number is in a range that is reserved for fiction: 030 23125 xxx and 0171 39200 xx for Germany, 555-01xx for
//! North America, 020 7946 0xxx, 0161 496 0xxx and 07700 900xxx for the United Kingdom. They are written as people
//! write them, which is in every way.

use serde_json::{Value, json};

use super::org::Seed;

/// Name, extension, time zone.
const AGENTS: [(&str, &str, &str); 3] = [
    ("Anna Agent", "101", "Europe/Berlin"),
    ("Ben Agent", "102", "Europe/London"),
    ("Cleo Agent", "103", "America/New_York"),
];

/// Name, city, phone.
const ACCOUNTS: [(&str, &str, &str); 10] = [
    ("Kranich Logistik GmbH", "Berlin", "+49 30 23125-000"),
    ("Sonnenhof Apotheke", "Berlin", "030/23125 110"),
    ("Elbtor Maschinenbau AG", "Hamburg", "+49 (0)40 66969 100"),
    ("Isarbräu KG", "München", "089 99998 200"),
    ("Harbour & Finch Ltd", "London", "020 7946 0100"),
    ("Northern Loom Co", "Manchester", "+44 (0)161 496 0200"),
    ("Redwood Dental Group", "San Francisco", "(415) 555-0100"),
    ("Bluefin Analytics Inc.", "New York", "+1 212-555-0110"),
    ("Prairie Seed & Feed", "Chicago", "312.555.0120"),
    ("Lone Star Roofing", "Austin", "1-512-555-0130"),
];

/// First name, last name, account (a number in the list above, from 0), title, phone, mobile.
type Person = (&'static str, &'static str, usize, &'static str, &'static str, &'static str);

const CONTACTS: [Person; 31] = [
    ("Jürgen", "Krause", 0, "Disponent", "+49 30 23125 001", "0171 39200 01"),
    ("Sabine", "Öztürk", 0, "Einkauf", "030 23125-002", "+49 171 3920002"),
    ("Matthias", "Groß", 0, "Geschäftsführer", "(030) 23125 003", ""),
    ("Petra", "Lindemann", 1, "Apothekerin", "030/23125111", "0171/3920004"),
    ("Ali", "Yıldız", 1, "PTA", "+49(0)30-23125-112", ""),
    ("Heike", "Sørensen", 2, "Vertrieb", "040 / 66969 101", "+49-171-39200-06"),
    ("Torsten", "Behrens", 2, "Werkleiter", "+494066969102", ""),
    ("Katrin", "Vogt", 2, "Buchhaltung", "0049 40 66969 103", "0171.39200.08"),
    ("Xaver", "Huber", 3, "Braumeister", "089-99998-201", "0171 3920009"),
    ("Maria", "Huber", 3, "Verwaltung", "089 99998 202", ""),
    ("Lena", "Brandt", 3, "Marketing", "+49 89 99998203", "+49 171 39200 11"),
    ("Oliver", "Finch", 4, "Partner", "020 7946 0101", "07700 900101"),
    ("Priya", "Nair", 4, "Solicitor", "+44 20 7946 0102", "+44 7700 900102"),
    ("Gareth", "Llewellyn", 4, "Clerk", "(020) 7946 0103", ""),
    ("Siobhán", "O'Neill", 4, "Accounts", "+44 (0)20 7946 0104", "07700-900-104"),
    ("Harriet", "Booth", 5, "Buyer", "0161 496 0201", "07700900105"),
    ("Mohammed", "Iqbal", 5, "Weaver", "0161-496-0202", ""),
    ("Fiona", "McAllister", 5, "Owner", "+441614960203", "+44 7700 900 107"),
    ("Emily", "Chen", 6, "Dentist", "(415) 555-0101", "415-555-0181"),
    ("Marcus", "Johnson", 6, "Hygienist", "415.555.0102", ""),
    ("Rosa", "Delgado", 6, "Front desk", "4155550103", "+1 (415) 555-0183"),
    ("David", "Goldberg", 7, "CTO", "+1 212 555 0111", "(917) 555-0111"),
    ("Aisha", "Williams", 7, "Data lead", "212-555-0112 x12", "9175550112"),
    ("Tom", "Kowalski", 7, "Office", "(212) 555-0113", ""),
    ("June", "Peterson", 8, "Owner", "(312) 555-0121", "312 555 0171"),
    ("Walter", "Peterson", 8, "Owner", "(312) 555-0121", "1 312 555 0172"),
    ("Denise", "Okafor", 8, "Sales", "312-555-0123 ext. 4", ""),
    ("Hank", "Morales", 9, "Foreman", "(512) 555-0131", "512-555-0191"),
    ("Grace", "Nguyen", 9, "Estimator", "+1-512-555-0132", "5125550192"),
    ("Billy", "Ray Carter", 9, "Crew", "", "(512) 555-0193"),
    // Two people, one desk: agents are asked who it was.
    ("Inge", "Hartmann", 0, "Assistenz", "030 23125-003", ""),
];

/// First name, last name, company, phone, mobile.
type Prospect = (&'static str, &'static str, &'static str, &'static str, &'static str);

const LEADS: [Prospect; 12] = [
    ("Ingrid", "Falk", "Falk Gartenbau", "030 23125 301", ""),
    ("Stefan", "Neumann", "Neumann & Söhne", "+49 (30) 23125-302", "0171 39200 31"),
    ("Dilara", "Kaya", "Kaya Catering", "", "+49 171 39200 32"),
    ("Bernd", "Schäfer", "Schäfer IT", "0049 30 23125303", ""),
    ("Charlotte", "Ashworth", "Ashworth Interiors", "020 7946 0301", "07700 900301"),
    ("Dev", "Patel", "Patel Pharmacy", "+44 20 79460302", ""),
    ("Rhys", "Morgan", "Morgan Cycles", "0161 496 0303", "07700 900 303"),
    ("Olivia", "Martin", "Martin Event Design", "(212) 555-0141", ""),
    ("Carlos", "Reyes", "Reyes Landscaping", "", "+1 512 555 0142"),
    ("Nadia", "Haddad", "Haddad Law", "415-555-0143", "(415) 555-0144"),
    ("Ethan", "Brooks", "Brooks Audio", "1.312.555.0145", ""),
    // The same person as a contact, as happens in every org.
    ("Emily", "Chen", "Chen Smiles", "(415) 555-0101", ""),
];

/// The seed of the demo org, the same every time.
#[must_use]
pub fn demo() -> Seed {
    let seed = json!({
        "User": AGENTS.map(agent), "Account": ACCOUNTS.map(account),
        "Contact": CONTACTS.map(contact), "Lead": LEADS.map(lead),
    });
    // An object is always a seed.
    Seed::from_value(seed).unwrap_or_default()
}

fn agent((name, extension, zone): (&str, &str, &str)) -> Value {
    let (first, last) = name.split_once(' ').unwrap_or(("", name));
    let address = format!("{}@pretend.example", first.to_lowercase());
    json!({
        "FirstName": first, "LastName": last, "Username": address, "Email": address,
        "Extension": extension, "TimeZoneSidKey": zone,
    })
}

fn account((name, city, phone): (&str, &str, &str)) -> Value {
    json!({"Name": name, "BillingCity": city, "Phone": phone})
}

fn contact((first, last, account, title, phone, mobile): Person) -> Value {
    let account = ACCOUNTS.get(account).map_or("", |account| account.0);
    json!({
        "FirstName": first, "LastName": last, "Title": title, "Phone": phone, "MobilePhone": mobile,
        "Account": {"Name": account},
    })
}

fn lead((first, last, company, phone, mobile): Prospect) -> Value {
    json!({
        "FirstName": first, "LastName": last, "Company": company, "Phone": phone, "MobilePhone": mobile,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::sim::org::{Org, Writer};

    #[test]
    fn the_demo_fills_an_org() {
        let mut org = Org::new(false);
        org.fill(&demo(), &Writer::of("", Timestamp::now())).expect("good data");
        let count = |object| org.rows(object).count();
        assert_eq!(
            ["User", "Account", "Contact", "Lead"].map(count),
            [AGENTS.len(), ACCOUNTS.len(), CONTACTS.len(), LEADS.len()]
        );
    }
}
