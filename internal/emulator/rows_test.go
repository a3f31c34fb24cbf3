package emulator_test

import (
	"strings"
	"testing"

	"bulkhead/internal/emulator"
)

const insertInvoices = `{"object":"Invoice__c","operation":"insert"}`

// seed loads two accounts with one website each and an invoice, and returns
// the id of account A-1.
func (o *org) seed() string {
	o.tb.Helper()
	info := o.run(upsertAccounts, "Legacy_Id__c,Name\nA-1,Acme\n")
	_, rows := o.results(info["id"].(string), "successfulResults")
	o.run(insertInvoices, "Account__r.Legacy_Id__c,Issued_On__c,Invoice_Key__c,Serial__c,Source_Ref__c\nA-1,2026-01-01,K1,S1,R1\nA-1,2026-01-01,K2,S2,R1\n")
	return rows[0][0]
}

// TestRowRefusals holds every refusal of a row against its code, message and
// fields. AID stands for the id of account A-1.
func TestRowRefusals(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	aid := o.seed()
	invoice := func(columns, values string) string {
		return "Account__c,Issued_On__c," + columns + "\nAID,2026-02-01," + values + "\n"
	}
	long := strings.Repeat("x", 81)
	for _, tc := range []struct{ name, spec, content, want string }{
		{"required", insertContacts, "FirstName\nJo\n", "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"},
		{"required two", insertInvoices, "Paid__c\ntrue\n", "REQUIRED_FIELD_MISSING:Required fields are missing: [Account__c, Issued_On__c]:Account__c,Issued_On__c --"},
		{"required cleared", `{"object":"Account","operation":"update"}`, "Id,Name\nAID,#N/A\n", "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"},
		{"too long", insertContacts, "LastName\n" + long + "\n", "STRING_TOO_LONG:Last Name: data value too large: " + long + " (max length=80):LastName --"},
		{"long enough in characters", insertContacts, "LastName\n" + strings.Repeat("ä", 80) + "\n", ""},
		{"restricted picklist", insertAccounts, "Name,Industry\nX,Alchemy\n", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Industry: bad value for restricted picklist field: Alchemy:Industry --"},
		{"inactive value", insertInvoices, invoice("Status__c", "Legacy"), "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Status: bad value for restricted picklist field: Legacy:Status__c --"},
		{"open picklist", insertAccounts, "Name,Rating\nX,Tepid\n", ""},
		{"multi-select", insertInvoices, invoice("Tags__c", "Urgent;Later"), "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Tags: bad value for restricted picklist field: Later:Tags__c --"},
		{"email", insertContacts, "LastName,Email\nDoe,jo@nowhere\n", "INVALID_EMAIL_ADDRESS:Email: invalid email address: jo@nowhere:Email --"},
		{"number range", insertAccounts, "Name,NumberOfEmployees\nX,1431655766\n", "NUMBER_OUTSIDE_VALID_RANGE:Employees: value outside of valid range on numeric field: 1431655766:NumberOfEmployees --"},
		{"currency range", insertInvoices, invoice("Amount__c", "123456789012345.5"), "NUMBER_OUTSIDE_VALID_RANGE:Amount: value outside of valid range on numeric field: 123456789012345.5:Amount__c --"},
		{"no number", insertAccounts, "Name,AnnualRevenue\nX,\"1,000\"\n", "INVALID_FIELD:Failed to deserialize field at col 1. Due to, '1,000' is not a valid value for the type xsd:double:AnnualRevenue --"},
		{"no integer", insertAccounts, "Name,NumberOfEmployees\nX,1.5\n", "INVALID_FIELD:Failed to deserialize field at col 1. Due to, '1.5' is not a valid value for the type xsd:int:NumberOfEmployees --"},
		{"no date", insertContacts, "LastName,Birthdate\nDoe,2003-02-29\n", "INVALID_FIELD:Failed to deserialize field at col 1. Due to, '2003-02-29' is not a valid value for the type xsd:date:Birthdate --"},
		{"date with offset", insertContacts, "LastName,Birthdate\nDoe,2003-02-27Z\n", "INVALID_FIELD:Failed to deserialize field at col 1. Due to, '2003-02-27Z' is not a valid value for the type xsd:date:Birthdate --"},
		{"no datetime", insertInvoices, invoice("Sent_At__c", "2003-02-27 10:00:00"), "INVALID_FIELD:Failed to deserialize field at col 2. Due to, '2003-02-27 10:00:00' is not a valid value for the type xsd:dateTime:Sent_At__c --"},
		{"datetime with offset", insertInvoices, invoice("Sent_At__c", "2003-02-27T10:00:00.123+05:30"), ""},
		{"no boolean", insertInvoices, invoice("Paid__c", "yes"), "INVALID_FIELD:Failed to deserialize field at col 2. Due to, 'yes' is not a valid value for the type xsd:boolean:Paid__c --"},
		{"exponent", insertInvoices, invoice("Quantity__c", "1.2E3"), ""},
		{"unknown parent", insertContacts, "LastName,Account.Legacy_Id__c\nDoe,A-9\n", "INVALID_FIELD:Foreign key external ID: A-9 not found for field Legacy_Id__c in entity Account:--"},
		{"ambiguous parent", `{"object":"Task","operation":"insert"}`, "Subject,Invoice__c:What.Source_Ref__c\nCall,R1\n", "INVALID_FIELD:More than one record found for foreign key external ID: R1 for field Source_Ref__c in entity Invoice__c:--"},
		{"too few values", insertContacts, "LastName,FirstName,Email\nDoe,Jo\n", "INVALID_FIELD:Number of fields in header is different from the row. header = 3 row = 2:--"},
		{"too many values", insertContacts, "LastName\nDoe,Jo\n", "INVALID_FIELD:Number of fields in header is different from the row. header = 1 row = 2:--"},
		{"blank before quote", insertContacts, "FirstName,LastName\nJo, \"Doe\"\n", "INVALID_FIELD:Failed to parse CSV. Found unescaped quote:--"},
		{"not unique", insertAccounts, "Name,Legacy_Id__c\nX,a-1\n", "DUPLICATE_VALUE:duplicate value found: Legacy_Id__c duplicates value on record with id: AID:--"},
		{"case-sensitive key is another", insertInvoices, invoice("Invoice_Key__c", "k1"), ""},
		{"several to upsert", `{"object":"Invoice__c","operation":"upsert","externalIdFieldName":"Source_Ref__c"}`, "Source_Ref__c\nR1\n", "DUPLICATE_EXTERNAL_ID:Source Ref: more than one record found for external id field: ["},
		{"only blanks", insertContacts, "LastName\n   \n", "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"},
		{"key of blanks", upsertAccounts, "Legacy_Id__c,Name\n ,Acme\n", "MISSING_ARGUMENT:Legacy_Id__c not specified:--"},
		{"blanks around a key", insertAccounts, "Name,Legacy_Id__c\nX, A-1 \n", "DUPLICATE_VALUE:duplicate value found: Legacy_Id__c duplicates value on record with id: AID:--"},
		{"blank key", upsertAccounts, "Legacy_Id__c,Name\n,Acme\n", "MISSING_ARGUMENT:Legacy_Id__c not specified:--"},
		{"no key column", upsertAccounts, "Name\nAcme\n", "MISSING_ARGUMENT:Legacy_Id__c not specified:--"},
		{"blank id", `{"object":"Account","operation":"update"}`, "Id,Name\n,Acme\n", "MISSING_ARGUMENT:Id not specified:--"},
		{"no id column", `{"object":"Account","operation":"delete"}`, "Name\nAcme\n", "MISSING_ARGUMENT:Id not specified:--"},
		{"malformed id", `{"object":"Account","operation":"update"}`, "Id,Name\n12,Acme\n", "MALFORMED_ID:Account ID: id value of incorrect type: 12:Id --"},
		{"id of another object", `{"object":"Contact","operation":"update"}`, "Id,LastName\nAID,Doe\n", "MALFORMED_ID:Contact ID: id value of incorrect type: AID:Id --"},
		{"lookup to another object", insertContacts, "LastName,AccountId\nDoe,003Em0000000001\n", "MALFORMED_ID:Account ID: id value of incorrect type: 003Em0000000001"},
		{"lookup to nothing", insertContacts, "LastName,AccountId\nDoe,001Em000000zzzz\n", "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:AccountId --"},
		{"upsert by id inserts", `{"object":"Account","operation":"upsert","externalIdFieldName":"Id"}`, "Id,Name,OwnerId\n,X,\n", ""},
		{"unknown owner", insertAccounts, "Name,OwnerId\nX,005Em000000zzzz\n", "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:OwnerId --"},
		{"unknown id", `{"object":"Account","operation":"delete"}`, "Id\n001Em000000zzzz\n", "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"},
		{"read-only field", insertAccounts, "Name,CreatedDate\nX,2020-01-01T00:00:00Z\n", "INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields: CreatedDate. Please check the security settings of this field and verify that it is read/write for your profile or permission set.:CreatedDate --"},
		{"insert with id", insertAccounts, "Id,Name\nAID,X\n", "INVALID_FIELD_FOR_INSERT_UPDATE:cannot specify Id in an insert call:Id --"},
		{"new master by update", `{"object":"Invoice__c","operation":"upsert","externalIdFieldName":"Invoice_Key__c"}`, "Invoice_Key__c,Account__r.Legacy_Id__c\nK1,A-1\n", ""},
		{"key and id", upsertAccounts, "Legacy_Id__c,Id\nA-1,AID\n", "INVALID_FIELD:cannot specify both an external ID reference A-1 and a salesforce id, AID:Legacy_Id__c --"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := *o
			o.tb = t
			got := o.one(tc.spec, strings.ReplaceAll(tc.content, "AID", aid))
			want := strings.ReplaceAll(tc.want, "AID", aid)
			if got != want && (want == "" || !strings.HasPrefix(got, want)) {
				t.Errorf("sf__Error\n got %q\nwant %q", got, want)
			}
		})
	}
}

func TestTwinsInAChunkAreAllRefused(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	info := o.run(upsertAccounts, "Legacy_Id__c,Name\nA-1,Acme\nB-1,Beta\na-1,Acme again\n")
	_, rows := o.results(info["id"].(string), "failedResults")
	if len(rows) != 2 {
		t.Fatalf("%d rows failed, want 2: %v", len(rows), rows)
	}
	for _, r := range rows {
		if want := "DUPLICATE_VALUE:Duplicate external id specified: " + r[2] + ":--"; r[1] != want {
			t.Errorf("got %q, want %q", r[1], want)
		}
	}
}

func TestRecordsOfAChunkDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	info := o.run(upsertAccounts, "Legacy_Id__c,Name,Parent.Legacy_Id__c\nA-1,Acme,\nA-2,Beta,A-1\n")
	if info["numberRecordsFailed"] != 1.0 {
		t.Errorf("failed: %v, want the child", info["numberRecordsFailed"])
	}
}

func TestEmptyLeavesAndMarkerClears(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	o.run(upsertAccounts, "Legacy_Id__c,Name,Website,Phone\nA-1,Acme,https://a.example,123\n")
	o.run(upsertAccounts, "Legacy_Id__c,Name,Website,Phone\nA-1,,#N/A,\n")
	if n := o.count("SELECT COUNT() FROM Account WHERE Name='Acme' AND Website=null AND Phone='123'"); n != 1 {
		t.Errorf("the account is not as it should be: %s", o.query("SELECT Name, Website, Phone FROM Account").body)
	}
}

func TestDeleteGoesToTheRecycleBinAndTakesDetailsAlong(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	id := o.seed()
	if msg := o.one(`{"object":"Account","operation":"delete"}`, "Id\n"+id+"\n"); msg != "" {
		t.Fatal(msg)
	}
	if n := o.count("SELECT COUNT() FROM Invoice__c"); n != 0 {
		t.Errorf("%d invoices are left of the account", n)
	}
	if st := o.server.State(); st.Recycled["Account"] != 1 || st.Recycled["Invoice__c"] != 2 {
		t.Errorf("recycle bin: %v", st.Recycled)
	}
	if msg, want := o.one(`{"object":"Account","operation":"delete"}`, "Id\n"+id+"\n"), "ENTITY_IS_DELETED:entity is deleted:--"; msg != want {
		t.Errorf("again: %q, want %q", msg, want)
	}
	if msg, want := o.one(insertContacts, "LastName,AccountId\nDoe,"+id+"\n"), "ENTITY_IS_DELETED:entity is deleted:--"; msg != want {
		t.Errorf("as a parent: %q, want %q", msg, want)
	}
	if msg := o.one(upsertAccounts, "Legacy_Id__c,Name\nA-1,Acme\n"); msg != "" {
		t.Errorf("the external id is not free again: %s", msg)
	}
}

func TestHardDeleteTakesAPermission(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	id := o.seed()
	if msg := o.one(`{"object":"Account","operation":"hardDelete"}`, "Id\n"+id+"\n"); msg != "" {
		t.Fatal(msg)
	}
	if st := o.server.State(); st.Recycled["Account"] != 0 || st.Records["Account"] != 0 {
		t.Errorf("still there: %v %v", st.Records, st.Recycled)
	}
	o = start(t, emulator.Config{Users: []emulator.User{{Username: "u@example.com", NoHardDelete: true}}})
	code, message := o.json("POST", "jobs/ingest", `{"object":"Account","operation":"hardDelete"}`).refusal()
	if code != "FEATURENOTENABLED" || !strings.Contains(message, "hardDelete operation requires special user profile permission") {
		t.Errorf("%s: %s", code, message)
	}
}

func TestStorageIsLimited(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{Limits: emulator.Limits{StorageRecords: 1}})
	info := o.run(upsertAccounts, "Legacy_Id__c,Name\nA-1,Acme\nA-2,Beta\n")
	_, rows := o.results(info["id"].(string), "failedResults")
	if len(rows) != 1 || rows[0][1] != "STORAGE_LIMIT_EXCEEDED:storage limit exceeded:--" {
		t.Errorf("rows %v", rows)
	}
}

func TestDefaultsAreFilledIn(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	o.seed()
	const q = "SELECT COUNT() FROM Invoice__c WHERE Status__c = 'Draft' AND Paid__c = false AND Name LIKE '0000000%' AND Account__r.Owner.Name = null"
	if a := o.query(q); a.status != 400 {
		t.Errorf("two relationships are understood: %s", a.body)
	}
	if n := o.count("SELECT COUNT() FROM Invoice__c WHERE Status__c = 'Draft' AND Paid__c = false AND Name LIKE '0000000%'"); n != 2 {
		t.Errorf("%d invoices with defaults, want 2", n)
	}
	if n := o.count("SELECT COUNT() FROM Account WHERE Owner.Username = 'admin@emulator.test'"); n != 1 {
		t.Errorf("the account has no owner: %s", o.query("SELECT Owner.Name, OwnerId FROM Account").body)
	}
}
