package demo

import "bulkhead/internal/reconcile"

// Mistake is one kind of mistake that the source's rows have, and what becomes
// of the records that have it. Each such record has this one mistake.
type Mistake struct {
	Step    string // of the pipeline, which meets it
	Story   string // how it came about
	Records int64

	// What stands in the reconciliation table. Field is empty where the error
	// names none.
	Kind        reconcile.Kind
	Code, Field string
	// Mended says whether [Stage.Mend] puts it right. The others need somebody
	// who knows better.
	Mended bool
}

// flaw numbers the kinds of mistakes.
type flaw int

const (
	sound flaw = iota
	unknownSegment
	noName
	pastedName
	phoneForEmployees
	childOfMended
	childOfNameless
	orphan
	commaInEmail
	noEmail
	noLastName
	noteInLastName
	unknownLeadSource
	shortYear
	flaws
)

// mistake says what a flaw is.
func (f flaw) mistake() Mistake {
	const (
		failed, rejected = reconcile.KindFailed, reconcile.KindRejected
		picklist         = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
		missing          = "REQUIRED_FIELD_MISSING"
		tooLong          = "STRING_TOO_LONG"
		email            = "INVALID_EMAIL_ADDRESS"
		foreignKey       = "INVALID_FIELD"
		account, contact = "accounts", "contacts"
	)
	return [flaws]Mistake{
		unknownSegment:    {account, "a segment that the picklist in Salesforce does not have", 0, failed, picklist, "Industry", true},
		noName:            {account, "no name", 0, failed, missing, "Name", false},
		pastedName:        {account, "a whole advertisement pasted into the name", 0, rejected, tooLong, "Name", true},
		phoneForEmployees: {account, "a phone number typed into the number of employees", 0, failed, "NUMBER_OUTSIDE_VALID_RANGE", "NumberOfEmployees", true},
		childOfMended:     {contact, "nothing wrong, but works for one of the customers above", 0, failed, foreignKey, "", true},
		childOfNameless:   {contact, "nothing wrong, but works for a customer without a name", 0, failed, foreignKey, "", false},
		orphan:            {contact, "works for a customer who was deleted years ago", 0, failed, foreignKey, "", false},
		commaInEmail:      {contact, "a comma for the dot in the email address", 0, failed, email, "Email", true},
		noEmail:           {contact, "\"unknown\" or the like for an email address", 0, failed, email, "Email", false},
		noLastName:        {contact, "no last name", 0, failed, missing, "LastName", false},
		noteInLastName:    {contact, "a note to colleagues in the last name", 0, rejected, tooLong, "LastName", true},
		unknownLeadSource: {contact, "a lead source that the picklist does not have", 0, failed, picklist, "LeadSource", true},
		shortYear:         {contact, "a year of birth of two digits, taken as it was typed", 0, rejected, "INVALID_DATE", "Birthdate", true},
	}[f]
}

// customerFlaw is what is wrong with the n-th customer. Neither chance nor the
// seed has a say in it, so that what has to come out is known beforehand. The
// divisors are what seems usual; the remainders keep the kinds apart, and low
// enough that a few hundred customers show all of them.
func customerFlaw(n int) flaw {
	switch {
	case n%125 == 7:
		return unknownSegment
	case n%1000 == 311:
		return noName
	case n%500 == 42:
		return pastedName
	case n%625 == 99:
		return phoneForEmployees
	}
	return sound
}

// personFlaw is what is wrong with the n-th person. People whose customer does
// not load have no mistake of their own.
func (c Config) personFlaw(n int) flaw {
	if n%600 == 13 {
		return orphan
	}
	switch customerFlaw(c.employer(n)) {
	case sound:
	case noName:
		return childOfNameless
	default:
		return childOfMended
	}
	switch {
	case n%200 == 3:
		return commaInEmail
	case n%500 == 77:
		return noEmail
	case n%1000 == 501:
		return noLastName
	case n%800 == 222:
		return noteInLastName
	case n%300 == 55:
		return unknownLeadSource
	case n%400 == 199:
		return shortYear
	}
	return sound
}

// contended reports whether the n-th person's account happens to be locked by
// somebody else when the person is loaded for the first time. It is so for few,
// however many there are: each costs the org a look at every record.
func (c Config) contended(n int) bool {
	return n%1500 == 700 && n < DefaultContacts && c.personFlaw(n) == sound
}

// employer is the customer that the n-th person works for, by its number. The
// older customers have more people, and some have none.
func (c Config) employer(n int) int {
	pick := func(stream uint64) uint64 { return mix(uint64(n)<<1|stream) % uint64(c.Customers) }
	return int(min(pick(0), pick(1)))
}

// mix scrambles a number (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Mistakes are the kinds of mistakes that the rows have, with their numbers.
func (c Config) Mistakes() []Mistake {
	c = c.withDefaults()
	var counts [flaws]int64
	for n := range c.Customers {
		counts[customerFlaw(n)]++
	}
	for n := range c.Contacts {
		counts[c.personFlaw(n)]++
	}
	var list []Mistake
	for f := sound + 1; f < flaws; f++ {
		if counts[f] == 0 {
			continue
		}
		m := f.mistake()
		m.Records = counts[f]
		list = append(list, m)
	}
	return list
}
