package demo

// The words that rows are made of, where a list of our own is more believable
// than what a generator has.

// place is where a customer is: how its phone numbers begin there, and what
// companies are called.
type place struct{ city, country, prefix, form string }

var places = [...]place{
	{"Amsterdam", "Netherlands", "+31 20", "B.V."},
	{"Austin", "United States", "+1 512", "LLC"},
	{"Barcelona", "Spain", "+34 93", "S.L."},
	{"Bengaluru", "India", "+91 80", "Pvt. Ltd."},
	{"Berlin", "Germany", "+49 30", "GmbH"},
	{"Boston", "United States", "+1 617", "Inc."},
	{"Chicago", "United States", "+1 312", "Corp."},
	{"Cork", "Ireland", "+353 21", "Ltd."},
	{"Denver", "United States", "+1 303", "Inc."},
	{"Edinburgh", "United Kingdom", "+44 131", "Ltd."},
	{"Gothenburg", "Sweden", "+46 31", "AB"},
	{"Hamburg", "Germany", "+49 40", "GmbH & Co. KG"},
	{"Helsinki", "Finland", "+358 9", "Oy"},
	{"Leeds", "United Kingdom", "+44 113", "& Sons"},
	{"Lyon", "France", "+33 4", "S.A.R.L."},
	{"Manchester", "United Kingdom", "+44 161", "plc"},
	{"Melbourne", "Australia", "+61 3", "Pty Ltd"},
	{"Milan", "Italy", "+39 02", "S.p.A."},
	{"München", "Germany", "+49 89", "AG"},
	{"Oslo", "Norway", "+47 22", "AS"},
	{"Porto", "Portugal", "+351 22", "Lda."},
	{"Prague", "Czechia", "+420 2", "s.r.o."},
	{"San José", "Costa Rica", "+506 2", "S.A."},
	{"São Paulo", "Brazil", "+55 11", "Ltda."},
	{"Seattle", "United States", "+1 206", "Inc."},
	{"Singapore", "Singapore", "+65 6", "Pte. Ltd."},
	{"Tokyo", "Japan", "+81 3", "K.K."},
	{"Toronto", "Canada", "+1 416", "Inc."},
	{"Warsaw", "Poland", "+48 22", "Sp. z o.o."},
	{"Zürich", "Switzerland", "+41 44", "AG"},
}

var trades = [...]string{
	"Analytics", "Bakeries", "Bearings", "Biotech", "Carpets", "Ceramics", "Consulting", "Couriers", "Diagnostics",
	"Electrical", "Engineering", "Fasteners", "Foods", "Freight", "Glassworks", "Instruments", "Insurance", "Joinery",
	"Labs", "Lighting", "Logistics", "Marine", "Media", "Optics", "Packaging", "Pharma", "Plastics", "Precision",
	"Printing", "Robotics", "Seeds", "Software", "Solar", "Steel", "Systems", "Textiles", "Timber", "Tools", "Valves",
}

// segments are values of the standard picklist Account.Industry.
var segments = [...]string{
	"Agriculture", "Apparel", "Banking", "Biotechnology", "Chemicals", "Communications", "Construction", "Consulting",
	"Education", "Electronics", "Energy", "Engineering", "Entertainment", "Environmental", "Finance", "Food & Beverage",
	"Government", "Healthcare", "Hospitality", "Insurance", "Machinery", "Manufacturing", "Media", "Not For Profit",
	"Recreation", "Retail", "Shipping", "Technology", "Telecommunications", "Transportation", "Utilities", "Other",
}

// leadSources are values of the standard picklist Contact.LeadSource.
var leadSources = [...]string{"Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Trade Show", "Other"}

var emoji = [...]string{"🚀", "🌱", "⚡", "🏗️", "👩‍🔬", "🇳🇴"}

// names are of people whom generators forget, and software stumbles over.
var names = [...]struct{ first, last string }{
	{"Aoife", "O'Sullivan"},
	{"Björn", "Åkesson"},
	{"Chloé", "d'Aubigné"},
	{"Đặng", "Nguyễn"},
	{"Eszter", "Szűcs"},
	{"François", "Lefèvre"},
	{"Gökçe", "Yıldız"},
	{"Håkon", "Sørensen"},
	{"Ilse", "van der Berg"},
	{"João", "Gonçalves"},
	{"Jürgen", "Groß"},
	{"Łukasz", "Wójcik"},
	{"María José", "Núñez"},
	{"Ólafur", "Þórðarson"},
	{"Priya", "Krishnamurthy"},
	{"Renée", "Saint-Exupéry"},
	{"Sinéad", "Ní Bhriain"},
	{"Zoë", "Müller-Lüdenscheidt"},
	{"Алексей", "Смирнов"},
	{"Ελένη", "Παπαδοπούλου"},
	{"太郎", "山田"},
	{"지우", "김"},
	{"محمد", "الحسن"},
	{"נועה", "לוי"},
}

// plainLetters are how letters are spelled where only ASCII goes.
var plainLetters = map[rune]string{
	'ä': "ae", 'å': "a", 'á': "a", 'à': "a", 'ã': "a", 'ặ': "a", 'ç': "c", 'đ': "d", 'ð': "d", 'é': "e", 'è': "e", 'ë': "e",
	'ễ': "e", 'í': "i", 'ı': "i", 'ł': "l", 'ñ': "n", 'ó': "o", 'ö': "oe", 'ø': "o", 'ú': "u", 'ü': "ue", 'ű': "u", 'ß': "ss",
	'þ': "th", 'ğ': "g",
}
