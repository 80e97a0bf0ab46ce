//! Written texts with the verdict and district they must get, against the dictionaries as they ship.

use super::*;
use crate::lexicon::Sources;
use Verdict::{No, Possible, Related, Yes};

fn gazetteer() -> Gazetteer {
    let files: Sources = [
        ("places.tsv", include_str!("../../../dictionaries/places.tsv")),
        ("townships.tsv", include_str!("../../../dictionaries/townships.tsv")),
        ("elsewhere.tsv", include_str!("../../../dictionaries/elsewhere.tsv")),
        ("place-phrases.tsv", include_str!("../../../dictionaries/place-phrases.tsv")),
    ]
    .into_iter()
    .map(|(file, text)| (file.to_owned(), text.to_owned()))
    .collect();
    Gazetteer::load(&files).unwrap()
}

const TABLE: [(&str, Verdict, &str); 67] = [
    // names cut by chance
    ("河南新乡一工厂冒烟", No, ""),
    ("武汉东西湖区停水", No, ""),
    ("海南昌江有人落水", No, ""),
    ("晋江西滨镇堵车", No, ""),
    ("云南昌保高速有落石", No, ""),
    ("越南昌盛公司招工", No, ""),
    ("文昌航天发射场今晚发射", No, ""),
    // no place of an event
    ("南昌舰今天靠港", No, ""),
    ("南昌起义纪念日到了", No, ""),
    ("楼下新开了一家南昌拌粉", No, ""),
    ("南昌籍船员获救", No, ""),
    ("南昌人在深圳开店，昨天店里着火了", No, ""),
    ("青岛南昌路12号水管爆了", No, ""),
    ("据南昌晚报，辽宁沈阳一小区停水", No, ""),
    ("据江西旅游广播，河北一新人婚礼冲突", No, ""),
    ("孩子会背滕王阁序了", No, ""),
    ("游戏里滕王阁新皮肤上线", No, ""),
    ("洪都拉斯发生地震", No, ""),
    // same name elsewhere
    ("西湖区文三路又堵死了", No, ""),
    ("西湖区停水一整天没人通知", Possible, "360103"),
    ("西湖区朝阳洲中路积水过膝，车都熄火了", Yes, "360103"),
    ("西湖区融媒体中心通报，南浦街道一住户家中起火", Yes, "360103"),
    ("杭州西湖区、拱墅区两处停电", No, ""),
    ("东湖区光谷那边堵车", No, ""),
    ("东湖区墩子塘有人打架", Yes, "360102"),
    ("临安青山湖边有人落水", No, ""),
    ("青山湖区湖坊镇积水", Yes, "360111"),
    ("我们镇新建一条道路太吵", No, ""),
    ("新建区域还没通水", No, ""),
    ("原新建县的老房子漏水", Yes, "360112"),
    ("湾里管理局梅岭镇山路塌方", Yes, "360193"),
    ("大连湾里有人落水", No, ""),
    ("高新区管委会不理人", No, ""),
    ("南昌高新区一工厂欠薪", Yes, "360191"),
    ("祝大家幸福太平", No, ""),
    ("长沙望城区停水", No, ""),
    ("上海路堵车", No, ""),
    ("南昌上海路积水", Yes, ""),
    ("人民公园有人晕倒", No, ""),
    // the city and its parts
    ("南昌昨晚下冰雹", Yes, ""),
    ("红谷滩一小区电梯坠落", Yes, "360113"),
    ("向塘镇一仓库起火", Yes, "360121"),
    ("麻丘镇水厂停水", Yes, "360191"),
    ("蛟桥那边在修路", Yes, "360192"),
    ("江西师范大学食堂有老鼠", Yes, ""),
    ("一客机发动机故障备降南昌", Yes, ""),
    ("从南昌出发了", Possible, ""),
    ("不像南昌，我们这里没有地铁", Possible, ""),
    ("四川资阳人田某在南昌抢劫被抓", Yes, ""),
    ("上海、杭州、南昌、贵阳等城市降温", Possible, ""),
    ("韩国歌手南昌演出，粉丝挤伤", Yes, ""),
    ("四川游客江西南昌坐过山车受伤", Yes, ""),
    ("平安全南昌都在停电", Yes, ""),
    ("上海男子家中着火", No, ""),
    ("九江一化工厂爆炸", No, ""),
    ("江西一中学通报学生受伤", No, ""),
    // elsewhere, with effect here
    ("江西全省有大暴雨", Related, ""),
    ("赣州段赣江洪水正在下泄", Related, ""),
    ("杭州飞往南昌的航班取消", Related, ""),
    // the scenarios
    ("扬子洲这边堤脚在冒水泡，像是泡泉，有没有人管啊", Yes, "360102"),
    ("扬子洲镇广播喊转移，带老人走了", Yes, "360102"),
    ("赣江水漫到沿江路了，八一大桥下面已经封了", Possible, ""),
    ("红角洲消防车来了一堆，听说没人受伤，火已经灭了", Yes, "360113"),
    ("别传了，南昌没有地震", Yes, ""),
    ("九龙湖工地塔吊倒了，3名工人被困，暂无死亡", Possible, "360113"),
    ("八一大桥上有人翻过栏杆了，谁快报警", Possible, ""),
    ("新建区长堎某工地老板张某欠我们30个人两个月工资，过年怎么办", Yes, "360112"),
];

#[test]
fn written_texts_get_their_verdict_and_district() {
    let gazetteer = gazetteer();
    let mut wrong = Vec::new();
    for (text, verdict, district) in TABLE {
        let place = locate(&gazetteer, &Normal::plain(text), None, None);
        if place.verdict != verdict || place.district.as_deref().unwrap_or_default() != district {
            wrong.push(format!("{text}: {:?} {:?} {:?}", place.verdict, place.district, place.anchors));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn anchors_lead_back_and_say_where_they_are() {
    let (gazetteer, text) = (gazetteer(), "工厂起火");
    let summary = Normal { text: "向塘镇通报".to_owned(), map: (10..=25).collect(), original_len: 25 };
    let place = locate(&gazetteer, &Normal::plain(text), Some(&summary), None);
    assert_eq!((place.verdict, place.township.as_deref()), (Yes, Some("向塘镇")));
    let anchor = &place.anchors[0];
    assert_eq!((anchor.start, anchor.end, anchor.within.as_deref()), (10, 19, Some("summary")));
    assert_eq!((anchor.kind.as_str(), anchor.score), ("township", 3.0));
}

#[test]
fn the_title_outranks_the_summary() {
    let gazetteer = gazetteer();
    let summary = Normal::plain("北京一医院作出鉴定");
    assert_eq!(locate(&gazetteer, &Normal::plain("南昌通报一起案件"), Some(&summary), None).verdict, Yes);
    let summary = Normal::plain("南昌也有这家店");
    assert_eq!(locate(&gazetteer, &Normal::plain("北京一餐馆爆炸"), Some(&summary), None).verdict, No);
}

#[test]
fn a_tag_in_the_city_is_enough() {
    let gazetteer = gazetteer();
    let tagged = |name: Option<&str>, at: Option<(f64, f64)>| {
        let tag = PlaceTag { name: name.map(str::to_owned), lat: at.map(|at| at.0), lon: at.map(|at| at.1) };
        locate(&gazetteer, &Normal::plain("这里积水了"), None, Some(&tag))
    };
    assert_eq!(tagged(Some("南昌·红谷滩万达广场"), None).verdict, Yes);
    assert_eq!(tagged(Some("南昌·红谷滩万达广场"), None).district.as_deref(), Some("360113"));
    assert_eq!(tagged(None, Some((28.68, 115.86))).verdict, Yes);
    assert_eq!(tagged(Some("杭州·西湖区"), None).verdict, No);
    assert_eq!(tagged(None, None).verdict, No);
}

#[test]
fn the_dictionaries_name_every_district() {
    let gazetteer = gazetteer();
    assert_eq!(gazetteer.districts().count(), 12);
    assert_eq!(gazetteer.centre().len(), 5);
    assert_eq!(gazetteer.district_name("360193"), Some("湾里管理局"));
}
