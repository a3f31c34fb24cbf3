package bulkv2_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/bulkv2"
)

func TestParseRecordError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, code, message string
		fields              []string
	}{
		{"REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --", "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", []string{"Name"}},
		{"X:several:Name,Foo__c, Account.Ext__c --", "X", "several", []string{"Name", "Foo__c", "Account.Ext__c"}},
		{"DUPLICATE_VALUE:duplicate value found: Ext__c duplicates value on record with id: 006Ov000004iYzqIAE:--", "DUPLICATE_VALUE", "duplicate value found: Ext__c duplicates value on record with id: 006Ov000004iYzqIAE", nil},
		{"UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 200 records: 001a,001b:--", "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 200 records: 001a,001b", nil},
		{"FIELD_CUSTOM_VALIDATION_EXCEPTION:line 1\nline 2: see, there:Amount --\n", "FIELD_CUSTOM_VALIDATION_EXCEPTION", "line 1\nline 2: see, there", []string{"Amount"}},
		{"STORAGE_LIMIT_EXCEEDED:storage limit exceeded", "STORAGE_LIMIT_EXCEEDED", "storage limit exceeded", nil},
		{"X:no fields, but a colon: see here --", "X", "no fields, but a colon: see here --", nil},
		{"X:--", "X", "--", nil},
		{"Something else: entirely", "", "Something else: entirely", nil},
		{":", "", ":", nil},
		{"", "", "", nil},
	} {
		got := bulkv2.ParseRecordError(tt.text)
		if diff := cmp.Diff(bulkv2.RecordError{Code: tt.code, Message: tt.message, Fields: tt.fields}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

func FuzzParseRecordError(f *testing.F) {
	f.Add("REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --")
	f.Add("X:a:--")
	f.Fuzz(func(t *testing.T, text string) {
		e := bulkv2.ParseRecordError(text)
		if !strings.Contains(text, e.Message) || !strings.HasPrefix(text, e.Code) {
			t.Errorf("%q became %+v", text, e)
		}
		for _, name := range e.Fields {
			if name == "" || !strings.Contains(text, name) {
				t.Errorf("%q became %+v", text, e)
			}
		}
	})
}
