package emulator

import "strings"

func (p *parser) whereClause(q *soql) error {
	ok, err := p.keyword("WHERE")
	if !ok || err != nil {
		return err
	}
	q.where, err = p.conditions()
	return err
}

// conditions reads what AND or OR joins. SOQL wants parentheses where both
// meet, rather than letting one bind tighter.
func (p *parser) conditions() (condition, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, malformed(p.lexer.query, p.token.pos, "SOQL statement is too complicated")
	}
	defer func() { p.depth-- }()
	first, err := p.condition()
	if err != nil {
		return nil, err
	}
	joined := junction{parts: []condition{first}}
	word := strings.ToUpper(p.token.text)
	if p.token.kind != tokenWord || word != "AND" && word != "OR" {
		return first, nil
	}
	joined.and = word == "AND"
	for {
		if ok, err := p.keyword(word); !ok || err != nil {
			return joined, err
		}
		next, err := p.condition()
		if err != nil {
			return nil, err
		}
		joined.parts = append(joined.parts, next)
	}
}

func (p *parser) condition() (condition, error) {
	if not, err := p.keyword("NOT"); not || err != nil {
		if err != nil {
			return nil, err
		}
		if p.depth++; p.depth > maxDepth {
			return nil, malformed(p.lexer.query, p.token.pos, "SOQL statement is too complicated")
		}
		defer func() { p.depth-- }()
		of, err := p.condition()
		return negation{of}, err
	}
	if open, err := p.sign("("); open || err != nil {
		if err != nil {
			return nil, err
		}
		inner, err := p.conditions()
		if err != nil {
			return nil, err
		}
		return inner, p.expectSign(")")
	}
	return p.comparison()
}

func (p *parser) comparison() (condition, error) {
	at, err := p.path()
	if err != nil {
		return nil, err
	}
	c := &comparison{fieldPath: at}
	if c.op, err = p.operator(); err != nil {
		return nil, err
	}
	if c.op != "IN" && c.op != "NOT IN" {
		return c, p.value(c)
	}
	if err := p.expectSign("("); err != nil {
		return nil, err
	}
	for {
		if err := p.value(c); err != nil {
			return nil, err
		}
		more, err := p.sign(",")
		if err != nil {
			return nil, err
		}
		if !more {
			return c, p.expectSign(")")
		}
	}
}

func (p *parser) operator() (string, error) {
	if p.token.kind == tokenSign && strings.Contains("= != < > <= >=", p.token.text) {
		op := p.token.text
		return op, p.advance()
	}
	for _, op := range []string{"LIKE", "IN"} {
		if ok, err := p.keyword(op); ok || err != nil {
			return op, err
		}
	}
	if err := p.expect("NOT"); err != nil {
		return "", err
	}
	return "NOT IN", p.expect("IN")
}

func (p *parser) value(c *comparison) error {
	switch p.token.kind {
	case tokenString, tokenNumber:
	case tokenWord:
		if w := strings.ToLower(p.token.text); w != "null" && w != "true" && w != "false" {
			return p.unexpected()
		}
	default:
		return p.unexpected()
	}
	c.values = append(c.values, p.token)
	return p.advance()
}
