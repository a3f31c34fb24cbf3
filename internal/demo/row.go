package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode"

	"github.com/brianvoe/gofakeit/v7"
)

// The source's numbering. The first thousand customers are gone: some of their
// people are still there.
const (
	firstCustomer = 1001
	firstPerson   = 500_001
)

func customerID(n int) int64 { return firstCustomer + int64(n) }
func personID(n int) int64   { return firstPerson + int64(n) }

// The independent streams of chance.
const (
	customerStream = 1 << 40
	personStream   = 2 << 40
)

// generator makes rows. Each is a function of the seed and its number alone.
// Not safe for concurrent use.
type generator struct {
	cfg   Config
	pcg   *rand.PCG
	faker *gofakeit.Faker
}

func newGenerator(cfg Config) *generator {
	pcg := rand.NewPCG(cfg.Seed, 0)
	return &generator{cfg: cfg, pcg: pcg, faker: gofakeit.NewFaker(pcg, false)}
}

// company is what a customer's row and those of its people have in common.
type company struct {
	name, domain string
	place        place
}

// company makes the n-th customer; what is drawn after it goes on with the same
// chance.
func (g *generator) company(n int) company {
	g.pcg.Seed(g.cfg.Seed, customerStream+uint64(n))
	at := places[g.faker.IntN(len(places))]
	family, trade := g.faker.LastName(), trades[g.faker.IntN(len(trades))]
	c := company{place: at, domain: slug(family+"-"+trade) + ".example"}
	c.name = fmt.Sprintf("%s %s %s", family, trade, at.form)
	switch { // what must arrive as it is
	case n%97 == 11:
		c.name = fmt.Sprintf(`"%s" %s, %s`, family, trade, at.form)
	case n%211 == 50:
		c.name = fmt.Sprintf("%s %s\nAttn: Accounts Payable", family, trade)
	case n%389 == 120:
		c.name = fmt.Sprintf("%s %s %s", family, trade, emoji[n%len(emoji)])
	}
	return c
}

// customer makes the n-th row of customers.
func (g *generator) customer(n int) []any {
	c := g.company(n)
	f := g.faker
	var name, website any = c.name, "https://www." + c.domain
	segment := segments[f.IntN(len(segments))]
	// Most companies are small.
	employees := f.IntRange(1, 40) * f.IntRange(1, 10) * f.IntRange(1, 10)
	revenue := int64(employees) * int64(f.IntRange(40_000_00, 400_000_00))
	if f.IntN(8) == 0 {
		website = nil
	}
	switch customerFlaw(n) {
	case unknownSegment:
		segment = "Fintech"
	case noName:
		name = nil
	case pastedName:
		name = c.name + " | " + g.advertisement()
	case phoneForEmployees:
		employees = 555_010_000 + n%10_000
	default:
	}
	return []any{customerID(n), name, website, g.phone(c.place), segment, revenue, employees, c.place.city, c.place.country}
}

// advertisement is longer than a name may be.
func (g *generator) advertisement() string {
	text := "your partner"
	for len(text) < 300 {
		text += ", ready to " + strings.ToLower(g.faker.BS())
	}
	return text
}

// person makes the n-th row of people.
func (g *generator) person(n int) []any {
	employer := g.cfg.employer(n)
	c := g.company(employer)
	g.pcg.Seed(g.cfg.Seed, personStream+uint64(n))
	f := g.faker
	account := customerID(employer)
	first, last := f.FirstName(), f.LastName()
	if n%40 == 9 {
		who := names[f.IntN(len(names))]
		first, last = who.first, who.last
	}
	address := slug(first) + "." + slug(last) + "@" + c.domain
	switch { // what must arrive as it is
	case n%151 == 30:
		first = fmt.Sprintf(`%s "%s"`, first, f.FirstName())
	case n%307 == 60:
		first += " " + emoji[n%len(emoji)]
	case n%409 == 80:
		last += ",\nDr. h.c."
	}
	var lastName, email, birthdate any = last, address, g.birthdate()
	source := leadSources[f.IntN(len(leadSources))]
	if f.IntN(10) == 0 {
		birthdate = nil
	}
	switch g.cfg.personFlaw(n) {
	case orphan:
		account = int64(1 + n%(firstCustomer-1))
	case commaInEmail:
		email = strings.Replace(address, ".example", ",example", 1)
	case noEmail:
		email = []string{"unknown", "n/a", "ask reception"}[f.IntN(3)]
	case noLastName:
		lastName = [...]any{nil, ""}[f.IntN(2)]
	case noteInLastName:
		lastName = last + " (on leave until September; until then please write to the office in " + c.place.city + ", never to the private address)"
	case unknownLeadSource:
		source = "LinkedIn"
	case shortYear:
		birthdate = time.Date(f.IntRange(50, 99), time.Month(f.IntRange(1, 12)), f.IntRange(1, 28), 0, 0, 0, 0, time.UTC)
	default:
	}
	return []any{personID(n), account, first, lastName, email, g.phone(c.place), birthdate, source}
}

func (g *generator) birthdate() time.Time {
	return time.Date(g.faker.IntRange(1950, 2004), time.Month(g.faker.IntRange(1, 12)), g.faker.IntRange(1, 28), 0, 0, 0, 0, time.UTC)
}

func (g *generator) phone(at place) string {
	return fmt.Sprintf("%s %03d %04d", at.prefix, g.faker.IntRange(100, 999), g.faker.IntN(10_000))
}

// slug is the part of a name that an address can have.
func slug(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch plain, ok := plainLetters[r]; {
		case ok:
			b.WriteString(plain)
		case r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-'):
			b.WriteRune(r)
		case r == ' ' || r == '&':
			b.WriteByte('-')
		}
	}
	if b.Len() == 0 {
		return "info"
	}
	return strings.Trim(b.String(), "-")
}
