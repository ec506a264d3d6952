#!/usr/bin/env python3
"""Drives the sandbox through simple-salesforce, a client that nobody here wrote, and compares its answers.

    python3 check_simple_salesforce.py target/debug/ctibridge
"""

import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import urllib.parse
from datetime import datetime, timedelta, timezone

import requests
import simple_salesforce
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from simple_salesforce import Salesforce, exceptions

HERE = pathlib.Path(__file__).parent
EVA, MOLL, FIRM = "003000000000001AAA", "003000000000002AAA", "001000000000001AAA"
checks = 0


def same(found, wanted, what):
    global checks
    checks += 1
    if found != wanted:
        sys.exit(f"{what}:\n  found  {found!r}\n  wanted {wanted!r}")


def refused(kind, status, code, work, what):
    try:
        work()
    except kind as error:
        same(error.status, status, f"{what}: status")
        same(error.content[0]["errorCode"], code, f"{what}: code")
        return error.content[0]["message"]
    sys.exit(f"{what}: not refused")


def not_let_in(work, code, message, what):
    try:
        work()
    except exceptions.SalesforceAuthenticationFailed as error:
        same((error.code, message in str(error)), (code, True), f"{what}: {error}")
        return
    sys.exit(f"{what}: let in")


class ToSandbox(requests.adapters.HTTPAdapter):
    """The client insists on https and Salesforce's hosts: both are rewritten on the way out."""

    def __init__(self, base):
        self.base = base
        super().__init__()

    def send(self, request, **options):
        request.url = f"{self.base}/{request.url.split('/', 3)[3]}"
        return super().send(request, **options)


class Org:
    def __init__(self, known):
        self.known, self.url = known, known["url"]

    def session(self):
        session = requests.Session()
        session.mount("https://", ToSandbox(self.url))
        return session

    def turn(self, **knobs):
        answer = requests.post(f"{self.url}/sandbox/knobs", json=knobs, timeout=10)
        same(answer.status_code, 200, f"knobs {answer.text}")

    def by_soap(self, **more):
        known = self.known
        options = {"version": "59.0", "security_token": known["security_token"]} | more
        return Salesforce(username=known["username"], password=known["password"], session=self.session(), **options)

    def by_password(self, **more):
        known = self.known
        password = known["password"] + known["security_token"]
        return Salesforce(**{
            "username": known["username"], "password": password, "consumer_key": known["client_id"],
            "consumer_secret": known["client_secret"], "session": self.session(), "version": "68.0"} | more)

    def by_client(self, **more):
        known = self.known
        return Salesforce(**{
            "consumer_key": known["client_id"], "consumer_secret": known["client_secret"], "domain": "acme.my",
            "session": self.session(), "version": "68.0"} | more)


def logging_in(org):
    known = org.known
    by_soap = org.by_soap()
    same(by_soap.query("SELECT COUNT() FROM Contact")["totalSize"], 3, "a session by SOAP works")
    not_let_in(lambda: org.by_soap(version="65.0"), "UNSUPPORTED_API_VERSION", "", "SOAP login of version 65")
    not_let_in(lambda: org.by_soap(security_token="wrong"), "INVALID_LOGIN", "Invalid username, password", "wrong token")
    same(org.by_password().session_id[:3], "00D", "a session by password")
    not_let_in(lambda: org.by_password(password="x"), "invalid_grant", "authentication failure", "wrong password")
    same(org.by_client().session_id, org.by_client().session_id, "client credentials give the same token again")
    not_let_in(lambda: org.by_client(consumer_secret="x"), "invalid_client", "invalid client credentials", "wrong secret")
    not_let_in(lambda: org.by_client(consumer_key="x"), "invalid_client_id", "client identifier invalid", "wrong client")
    org.turn(flows=["client_credentials"])
    not_let_in(org.by_password, "invalid_grant", "authentication failure", "a blocked password flow")
    not_let_in(org.by_soap, "INVALID_LOGIN", "", "SOAP login where it is off")
    org.turn(flows=["client_credentials", "jwt_bearer", "password", "refresh_token", "authorization_code", "soap"])

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption()).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM,
                                           serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    by_jwt = lambda: Salesforce(username=known["username"], consumer_key=known["client_id"], privatekey=private,
                                session=org.session(), version="68.0")
    not_let_in(by_jwt, "invalid_grant", "invalid assertion", "a key that the app does not know")
    org.turn(jwt_public_key=public)
    same(by_jwt().limits()["DailyApiRequests"]["Max"], 150_000, "a session by JWT works")

    # The client has no code flow; its session is made by hand, and it takes over from there.
    verifier = base64.urlsafe_b64encode(b"v" * 48).decode()
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    org.turn(pkce_required=True, rotate_refresh_tokens=True)
    back = "http://localhost:8461/callback"
    asked = {"response_type": "code", "client_id": known["client_id"], "redirect_uri": back, "state": "s",
             "scope": "api refresh_token"}
    def came_back(more):
        answer = requests.get(f"{org.url}/services/oauth2/authorize", asked | more, allow_redirects=False, timeout=10)
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers["Location"]).query))
    same(came_back({})["error_description"], "missing required code challenge", "no challenge")
    code = came_back({"code_challenge": challenge, "code_challenge_method": "S256"})
    same(code["state"], "s", "the state comes back")
    client = {"client_id": known["client_id"], "client_secret": known["client_secret"]}
    token = lambda form: requests.post(f"{org.url}/services/oauth2/token", client | form, timeout=10).json()
    exchange = {"grant_type": "authorization_code", "code": code["code"], "redirect_uri": back, "code_verifier": verifier}
    first = token(exchange)
    same(token(exchange)["error"], "invalid_grant", "a code is good once")
    by_code = Salesforce(instance_url=org.url, session_id=first["access_token"], session=org.session(), version="68.0")
    same(by_code.query("SELECT Id FROM Organization")["totalSize"], 1, "a session by code works")
    second = token({"grant_type": "refresh_token", "refresh_token": first["refresh_token"]})
    same(second["refresh_token"] != first["refresh_token"], True, "a refresh token is replaced")
    replay = token({"grant_type": "refresh_token", "refresh_token": first["refresh_token"]})
    same(replay["error_description"], "expired access/refresh token", "a used refresh token")
    same("error" in token({"grant_type": "refresh_token", "refresh_token": second["refresh_token"]}), True,
         "its successor ends with it")
    org.turn(pkce_required=False, rotate_refresh_tokens=False)


def asking(org, sf):
    [firm] = sf.query("SELECT Name, (SELECT LastName FROM Contacts) FROM Account")["records"]
    same([row["LastName"] for row in firm["Contacts"]["records"]], ["Kern"], "children with their parent")
    everyone = sf.query("SELECT Id, Name, Account.Name FROM Contact ORDER BY Id")
    same((everyone["totalSize"], everyone["done"]), (3, True), "a query")
    same(everyone["records"][0]["Account"]["Name"], "Kern AG", "a parent's field")
    same(everyone["records"][1]["Account"], None, "no parent")
    same(everyone["records"][0]["attributes"]["url"], f"/services/data/v68.0/sobjects/Contact/{EVA}", "attributes")
    org.turn(page_size=2)
    same([row["Id"] for row in sf.query_all("SELECT Id FROM Contact ORDER BY Id")["records"]],
         [row["Id"] for row in everyone["records"]], "pages together are the whole")
    same(len(list(sf.query_all_iter("SELECT Id FROM Contact"))), 3, "pages one by one")
    org.turn(page_size=2000)
    same(simple_salesforce.format_soql("SELECT Id FROM Contact WHERE LastName = {}", "O'Neill"),
         "SELECT Id FROM Contact WHERE LastName = 'O\\'Neill'", "the client's escapes")
    same(sf.query(simple_salesforce.format_soql("SELECT Id FROM Contact WHERE LastName = {}", "O'Neill"))["totalSize"], 1,
         "an escaped quote")
    message = refused(exceptions.SalesforceMalformedRequest, 400, "INVALID_FIELD",
                      lambda: sf.query("SELECT Fone FROM Contact"), "an unknown field")
    same("No such column 'Fone' on entity 'Contact'" in message, True, message)
    refused(exceptions.SalesforceMalformedRequest, 400, "MALFORMED_QUERY", lambda: sf.query("SELECT FROM"), "no query")
    refused(exceptions.SalesforceMalformedRequest, 400, "INVALID_QUERY_LOCATOR",
            lambda: sf.query_more("01g000000000001-2000"), "an unknown locator")

    found = sf.search("FIND {4155550123} IN PHONE FIELDS RETURNING Contact(Id, Name, Phone)")["searchRecords"]
    same([(row["Id"], row["Phone"]) for row in found], [(EVA, "(415) 555-0123")], "a search by phone")
    same(sf.search("FIND {5550124} IN PHONE FIELDS RETURNING Contact(Id)")["searchRecords"], [], "exact digits")
    org.turn(phone_tokens="suffix")
    same(sf.search("FIND {5550124} IN PHONE FIELDS RETURNING Contact(Id)")["searchRecords"][0]["Id"], MOLL, "a suffix")
    org.turn(phone_tokens="exact_digits")
    same([row["attributes"]["type"] for row in sf.quick_search("Kern")["searchRecords"]], ["Account", "Contact"],
         "a search everywhere")
    refused(exceptions.SalesforceMalformedRequest, 400, "MALFORMED_SEARCH", lambda: sf.search("FIND Kern"), "no braces")
    asked = {"q": "4155550123", "in": "PHONE", "sobjects": [{"name": "Contact", "fields": ["Id", "Name"], "limit": 5}]}
    found = sf.restful("parameterizedSearch", method="POST", json=asked)
    same([row["Name"] for row in found["searchRecords"]], ["Eva Kern"], "a parameterized search")
    found = sf.restful("parameterizedSearch",
                       {"q": "4155550123", "in": "PHONE", "sobject": "Contact", "Contact.fields": "Id,Name"})
    same([row["Name"] for row in found["searchRecords"]], ["Eva Kern"], "the same by GET")

    described = sf.Contact.describe()
    fields = {field["name"]: field for field in described["fields"]}
    same([(name, fields[name]["type"], fields[name]["length"]) for name in ("Phone", "LastName", "AccountId")],
         [("Phone", "phone", 40), ("LastName", "string", 80), ("AccountId", "reference", 18)], "describe")
    key = next(f for f in sf.Task.describe()["fields"] if f["name"] == "CTI_Call_Id__c")
    same((key["externalId"], key["unique"], key["createable"]), (True, True, True), "an external id field")
    names = [thing["name"] for thing in sf.describe()["sobjects"]]
    same({"Contact", "Lead", "Account", "Task", "UpsertTable__c"} <= set(names), True, "the global describe")
    same(sf.restful("limits")["DailyBulkV2QueryJobs"]["Max"], 10_000, "limits")
    usage = sf.api_usage["api-usage"]
    same((usage.used > 0, usage.total), (True, 150_000), "the usage header")
    versions = requests.get(f"{org.url}/services/data", timeout=10).json()
    same(versions[-1], {"label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0"}, "versions")
    same(sf.oauth2("userinfo")["preferred_username"], org.known["username"], "userinfo")


def writing(org, sf):
    made = sf.Task.create({"Subject": "Call", "WhoId": EVA, "TaskSubtype": "Call"})
    same((made["success"], made["errors"], len(made["id"])), (True, [], 18), "create")
    same(sf.Task.update(made["id"], {"Subject": "Later"}), 204, "update")
    row = sf.Task.get(made["id"])
    same((row["Subject"], row["AccountId"], row["Status"]), ("Later", FIRM, "Not Started"), "get")
    same(len(row["CreatedDate"]), len("2026-11-21T17:11:01.000+0000"), "a moment's form")
    same(sf.Task.upsert("CTI_Call_Id__c/pbx-1", {"Subject": "New", "TaskSubtype": "Call"}), 201, "upsert of a new row")
    same(sf.Task.upsert("CTI_Call_Id__c/pbx-1", {"Subject": "Known"}), 200, "upsert of a known row")
    same(sf.Task.get_by_custom_id("CTI_Call_Id__c", "pbx-1")["Subject"], "Known", "get by the key")
    refused(exceptions.SalesforceMalformedRequest, 400, "INVALID_FIELD_FOR_INSERT_UPDATE",
            lambda: sf.Task.upsert("CTI_Call_Id__c/pbx-1", {"TaskSubtype": "Email"}), "a field for creation only")
    message = refused(exceptions.SalesforceMalformedRequest, 400, "DUPLICATE_VALUE",
                      lambda: sf.Task.create({"CTI_Call_Id__c": "pbx-1"}), "a key that is taken")
    same(message.startswith("duplicate value found: CTI_Call_Id__c duplicates value on record with id: 00T"), True, message)
    try:
        sf.UpsertTable__c.upsert("ExtId__c/twice", {"Name": "three"})
        sys.exit("an upsert of two rows is done")
    except exceptions.SalesforceMoreThanOneRecord as error:
        same((error.status, len(error.content)), (300, 2), "upsert of several rows")
    for body, code in [
        ({"Subject": "x" * 256}, "STRING_TOO_LONG"),
        ({"WhatId": "00Q000000000001"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"OwnerId": "nobody"}, "MALFORMED_ID"),
        ({"WhoId": "003000000000099"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"CallType": "Sideways"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"Nonsense__c": 1}, "INVALID_FIELD"),
    ]:
        refused(exceptions.SalesforceMalformedRequest, 400, code, lambda: sf.Task.create(body), str(body)[:40])
    refused(exceptions.SalesforceMalformedRequest, 400, "REQUIRED_FIELD_MISSING",
            lambda: sf.Lead.create({"LastName": "A"}), "a missing field")
    same(sf.Task.delete(made["id"]), 204, "delete")
    refused(exceptions.SalesforceResourceNotFound, 404, "NOT_FOUND", lambda: sf.Task.get(made["id"]), "a deleted row")
    refused(exceptions.SalesforceResourceNotFound, 404, "ENTITY_IS_DELETED",
            lambda: sf.Task.update(made["id"], {"Subject": "x"}), "an update of a deleted row")
    gone = sf.query("SELECT Id FROM Task WHERE IsDeleted = true", include_deleted=True)
    same([row["Id"] for row in gone["records"]], [made["id"]], "queryAll shows the recycle bin")

    start, end = datetime.now(timezone.utc) - timedelta(minutes=5), datetime.now(timezone.utc) + timedelta(minutes=5)
    same([row["id"] for row in sf.Task.deleted(start, end)["deletedRecords"]], [made["id"]], "deleted")
    same(len(sf.Task.updated(start, end)["ids"]), 1, "updated")

    task = lambda **fields: {"attributes": {"type": "Task"}, **fields}
    rows = [task(Subject="good", CTI_Call_Id__c="c-1"), task(OwnerId="nobody")]
    done = sf.restful("composite/sobjects", method="POST", json={"allOrNone": False, "records": rows})
    same([row["success"] for row in done], [True, False], "a collection with a bad row")
    same(done[1]["errors"][0]["statusCode"], "MALFORMED_ID", "its error")
    rows[0]["CTI_Call_Id__c"] = "c-2"
    done = sf.restful("composite/sobjects", method="POST", json={"allOrNone": True, "records": rows})
    same([row["errors"][0]["statusCode"] for row in done], ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "MALFORMED_ID"],
         "all or none")
    same(sf.query("SELECT COUNT() FROM Task WHERE CTI_Call_Id__c = 'c-2'")["totalSize"], 0, "none it is")

    base = "/services/data/v68.0/sobjects"
    done = sf.restful("composite", method="POST", json={"compositeRequest": [
        {"method": "POST", "url": f"{base}/Contact", "referenceId": "c", "body": {"LastName": "Composed"}},
        {"method": "POST", "url": f"{base}/Task", "referenceId": "t", "body": {"Subject": "Call", "WhoId": "@{c.id}"}},
        {"method": "GET", "url": f"{base}/Task/@{{t.id}}?fields=WhoId", "referenceId": "r"},
        {"method": "GET", "url": f"{base}/Task/00T000000000099", "referenceId": "x"},
    ]})["compositeResponse"]
    same([part["httpStatusCode"] for part in done], [201, 201, 200, 404], "a composite request")
    same(done[2]["body"]["WhoId"], done[0]["body"]["id"], "a reference")


def in_bulk(org, sf):
    done = sf.bulk2.Contact.insert(records=[{"LastName": f"Bulk {n}", "Phone": f"(415) 555-{n:04}"} for n in range(300)], wait=0.1)
    same([(part["numberRecordsProcessed"], part["numberRecordsFailed"]) for part in done], [(300, 0)], "ingest: insert")
    whole = "".join(sf.bulk2.Contact.query("SELECT Id, LastName, Account.Name FROM Contact WHERE LastName LIKE 'Bulk%'", wait=0.1))
    lines = whole.strip().split("\n")
    same((len(lines), lines[0]), (301, '"Id","LastName","Account.Name"'), "a bulk query")
    org.turn(bulk_page_size=100)
    sets = list(sf.bulk2.Contact.query("SELECT Id FROM Contact WHERE LastName LIKE 'Bulk%'", wait=0.1))
    same([len(part.strip().split("\n")) for part in sets], [101, 101, 101], "its sets")
    org.turn(bulk_page_size=50000)
    ids = [line.split(",")[0].strip('"') for line in lines[1:4]]
    done = sf.bulk2.Contact.delete(records=[{"Id": id} for id in ids], wait=0.1)
    same(done[0]["numberRecordsFailed"], 0, "ingest: delete")
    gone = "".join(sf.bulk2.Contact.query_all("SELECT Id FROM Contact WHERE IsDeleted = true", wait=0.1))
    same(sorted(line.strip('"') for line in gone.strip().split("\n")[1:]), sorted(ids), "queryAll in bulk")
    done = sf.bulk2.Task.upsert(records=[{"CTI_Call_Id__c": "pbx-1", "Subject": "By bulk"},
                                         {"CTI_Call_Id__c": "b-2", "Subject": "x" * 300}],
                                external_id_field="CTI_Call_Id__c", wait=0.1)
    same(done[0]["numberRecordsFailed"], 1, "ingest: upsert with a bad row")
    failed = sf.bulk2.Task.get_failed_records(done[0]["job_id"])
    same("STRING_TOO_LONG:" in failed, True, failed)
    same("pbx-1" in sf.bulk2.Task.get_successful_records(done[0]["job_id"]), True, "the good row")
    same(sf.Task.get_by_custom_id("CTI_Call_Id__c", "pbx-1")["Subject"], "By bulk", "is written")


def faults(org, sf):
    org.turn(next=[{"kind": "http_503"}])
    try:
        sf.query("SELECT Id FROM Contact")
        sys.exit("a 503 is nothing")
    except exceptions.SalesforceGeneralError as error:
        same((error.status, error.content[0]["errorCode"]), (503, "SERVER_UNAVAILABLE"), "503")
    org.turn(next=[{"kind": "request_limit"}])
    refused(exceptions.SalesforceRefusedRequest, 403, "REQUEST_LIMIT_EXCEEDED", lambda: sf.limits(), "over the limit")
    org.turn(revoke=True)
    same(sf.query("SELECT COUNT() FROM User")["totalSize"] > 0, True, "an ended session is opened again by the client")


def main():
    program = subprocess.Popen([sys.argv[1], "sandbox", "--listen", "127.0.0.1:0", "--data", str(HERE / "org.json")],
                               stdout=subprocess.PIPE, text=True)
    try:
        org = Org(json.loads(program.stdout.readline()))
        logging_in(org)
        sf = org.by_client()
        for step in (asking, writing, in_bulk, faults):
            step(org, sf)
    finally:
        program.terminate()
    print(f"simple-salesforce: {checks} checks hold")


main()
