package emulator

import (
	"strconv"
	"strings"
)

// soql is a query that could be read. Names are not resolved yet.
type soql struct {
	text    string
	selects []selected
	count   bool // SELECT COUNT()
	object  fieldPath
	where   condition
	order   []ordering
	limit   int // -1 without
	offset  int
}

// fieldPath is a field, or one behind a relationship, as it was written.
type fieldPath struct {
	text string
	pos  int
}

// selected is an entry of the SELECT list. count tells COUNT(field).
type selected struct {
	fieldPath
	count bool
	alias string
}

type ordering struct {
	fieldPath
	descending bool
	nullsLast  bool
}

// condition is a node of the WHERE clause.
type condition interface{ isCondition() }

type (
	junction struct {
		and   bool
		parts []condition
	}
	negation   struct{ of condition }
	comparison struct {
		fieldPath
		op     string // = != < > <= >= LIKE IN, NOT IN
		values []token
	}
)

func (junction) isCondition()    {}
func (negation) isCondition()    {}
func (*comparison) isCondition() {}

// maxDepth of parentheses and NOTs. Salesforce bounds a query by its length.
const maxDepth = 200

// parser reads a query by recursive descent.
type parser struct {
	lexer lexer
	token token
	depth int
}

// parseSOQL reads SELECT ... FROM ... [WHERE] [ORDER BY] [LIMIT] [OFFSET].
func parseSOQL(text string) (*soql, error) {
	p := &parser{lexer: lexer{query: text}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	q := &soql{text: text, limit: -1}
	for _, step := range []func(*soql) error{p.selectList, p.from, p.whereClause, p.orderBy, p.limits, p.end} {
		if err := step(q); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (p *parser) advance() (err error) {
	p.token, err = p.lexer.next()
	return err
}

func (p *parser) unexpected() error {
	return malformed(p.lexer.query, p.token.pos, "unexpected token: '%s'", p.token.text)
}

// keyword eats a word if it is the one.
func (p *parser) keyword(word string) (bool, error) {
	if p.token.kind != tokenWord || !strings.EqualFold(p.token.text, word) {
		return false, nil
	}
	return true, p.advance()
}

// expect eats a keyword or refuses.
func (p *parser) expect(word string) error {
	ok, err := p.keyword(word)
	if err == nil && !ok {
		return p.unexpected()
	}
	return err
}

// sign eats a sign if it is the one.
func (p *parser) sign(sign string) (bool, error) {
	if p.token.kind != tokenSign || p.token.text != sign {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) expectSign(sign string) error {
	ok, err := p.sign(sign)
	if err == nil && !ok {
		return p.unexpected()
	}
	return err
}

func (p *parser) path() (fieldPath, error) {
	if p.token.kind != tokenWord || isReserved(p.token.text) || strings.Contains(p.token.text, ":") ||
		strings.HasSuffix(p.token.text, ".") || strings.Contains(p.token.text, "..") {
		return fieldPath{}, p.unexpected()
	}
	at := fieldPath{p.token.text, p.token.pos}
	return at, p.advance()
}

func isReserved(word string) bool {
	switch strings.ToUpper(word) {
	case "SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "ORDER", "LIMIT", "OFFSET", "NULL":
		return true
	}
	return false
}

func (p *parser) selectList(q *soql) error {
	if err := p.expect("SELECT"); err != nil {
		return err
	}
	for {
		if err := p.selectItem(q); err != nil {
			return err
		}
		more, err := p.sign(",")
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
		if q.count {
			return p.unexpected()
		}
	}
}

func (p *parser) selectItem(q *soql) error {
	at, err := p.path()
	if err != nil {
		return err
	}
	call, err := p.sign("(")
	if err != nil {
		return err
	}
	if !call {
		q.selects = append(q.selects, selected{fieldPath: at})
		return nil
	}
	if !strings.EqualFold(at.text, "COUNT") {
		return malformed(q.text, at.pos, "Unknown function: %s", at.text)
	}
	if bare, err := p.sign(")"); bare || err != nil {
		if len(q.selects) > 0 {
			return malformed(q.text, at.pos, "unexpected token: 'COUNT'")
		}
		q.count = true
		return err
	}
	return p.countField(q)
}

func (p *parser) countField(q *soql) error {
	of, err := p.path()
	if err != nil {
		return err
	}
	if err := p.expectSign(")"); err != nil {
		return err
	}
	item := selected{fieldPath: of, count: true, alias: "expr" + strconv.Itoa(len(q.selects))}
	if p.token.kind == tokenWord && !isReserved(p.token.text) {
		item.alias = p.token.text
		if err := p.advance(); err != nil {
			return err
		}
	}
	q.selects = append(q.selects, item)
	return nil
}

func (p *parser) from(q *soql) (err error) {
	if err = p.expect("FROM"); err != nil {
		return err
	}
	q.object, err = p.path()
	return err
}

func (p *parser) orderBy(q *soql) error {
	ok, err := p.keyword("ORDER")
	if !ok || err != nil {
		return err
	}
	if err := p.expect("BY"); err != nil {
		return err
	}
	for {
		if err := p.orderItem(q); err != nil {
			return err
		}
		if more, err := p.sign(","); !more || err != nil {
			return err
		}
	}
}

func (p *parser) orderItem(q *soql) error {
	at, err := p.path()
	if err != nil {
		return err
	}
	item := ordering{fieldPath: at}
	if item.descending, err = p.keyword("DESC"); err != nil {
		return err
	}
	if !item.descending {
		if _, err := p.keyword("ASC"); err != nil {
			return err
		}
	}
	nulls, err := p.keyword("NULLS")
	if err != nil {
		return err
	}
	if nulls {
		if item.nullsLast, err = p.keyword("LAST"); err == nil && !item.nullsLast {
			err = p.expect("FIRST")
		}
	}
	q.order = append(q.order, item)
	return err
}

func (p *parser) limits(q *soql) error {
	ok, err := p.keyword("LIMIT")
	if err == nil && ok {
		q.limit, err = p.whole()
	}
	if err != nil {
		return err
	}
	ok, err = p.keyword("OFFSET")
	if err == nil && ok {
		q.offset, err = p.whole()
	}
	return err
}

func (p *parser) whole() (int, error) {
	n, err := strconv.Atoi(p.token.text)
	if err != nil || n < 0 || p.token.kind != tokenNumber {
		return 0, p.unexpected()
	}
	return n, p.advance()
}

func (p *parser) end(*soql) error {
	if p.token.kind != tokenEnd {
		return p.unexpected()
	}
	return nil
}
