package emulator

import (
	"fmt"
	"time"
)

// user is someone who can log in, and the User record behind.
type user struct {
	User
	id     string
	number int32 // what records refer to them with
}

// addUsers makes the User records of those who can log in. Without a describe
// of User they have ids all the same.
func (o *org) addUsers(users []User, now time.Time) error {
	t, described := o.store.table("User")
	for i, u := range users {
		id := makeID("005", int64(i)+1)
		o.store.users = append(o.store.users, id)
		o.users = append(o.users, &user{User: u, id: id, number: int32(i)})
		if !described {
			continue
		}
		d := newDraft(t.object)
		for _, v := range [][2]string{
			{"Username", u.Username},
			{"FirstName", u.FirstName},
			{"LastName", u.LastName},
			{"Email", u.Email},
			{"IsActive", "true"},
			{"Alias", "emul"},
			{"UserType", "Standard"},
			{"CommunityNickname", fmt.Sprintf("user%d", i+1)},
			{"ProfileId", makeID("00e", 1)},
			{"TimeZoneSidKey", "GMT"},
			{"LocaleSidKey", "en_US"},
			{"EmailEncodingKey", "UTF-8"},
			{"LanguageLocaleKey", "en_US"},
		} {
			if f, ok := t.object.field(v[0]); ok && v[1] != "" {
				d.set(f, v[1])
			}
		}
		ms := now.UnixMilli()
		n := t.insert(row{values: d.pack(), created: ms, modified: ms})
		if t.id(n) != id {
			return fmt.Errorf("user %q: the describe of User has key prefix %q, not 005", u.Username, t.object.KeyPrefix)
		}
	}
	return nil
}

func (o *org) userNamed(username string) (*user, bool) {
	for _, u := range o.users {
		if fold(u.Username) == fold(username) {
			return u, true
		}
	}
	return nil, false
}
